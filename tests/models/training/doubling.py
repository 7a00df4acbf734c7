"""A task small enough to train in a blink, with everything the loop may meet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from models import config
from models.architectures import Size
from models.pack import Pack
from models.signature import Output, Signature, VectorColumn
from models.tasks.task import Batch, Outputs, Recipe, Task


class Doubling(Task):
    """x -> 2 x per token; sequences of 0 to 5 tokens, shaken by the global generator too."""

    name = "doubling"
    signature = Signature(
        columns=(VectorColumn(width=2),), outputs=(Output(per="token", width=2),), min_length=0
    )
    trained_lengths = (0, 5)
    size = Size(width=8, blocks=1, heads=2)

    def __init__(self, **recipe: Any) -> None:
        self.recipe = replace(Recipe(steps=6, learning_rate=1e-2, evaluate_every=2), **recipe)
        self.calls = 0

    def batch(self, generator: torch.Generator) -> Batch:
        self.calls += 1
        lengths = torch.randint(0, 6, (8,), generator=generator)
        tokens = torch.randn(int(lengths.sum()), 2, generator=generator)
        return Batch(Pack({"x": tokens}, lengths), {"y": 2 * tokens + 0.01 * torch.randn(2)})

    def validation(self) -> Batch:
        lengths = torch.tensor([3, 0, 4])
        tokens = torch.linspace(-1, 1, 14).view(7, 2)
        return Batch(Pack({"x": tokens}, lengths), {"y": 2 * tokens})

    def tests(self) -> dict[str, Batch]:
        return {"": self.validation(), "7": self.validation()}

    def fitting(self) -> Pack:
        return self.validation().pack

    def config(self, architecture: str) -> config.ModelConfig:
        """Performers redraw their features every third step."""
        own = super().config(architecture)
        blocks = tuple(
            block.model_copy(update={"mixing": block.mixing.model_copy(update={"redraw_every": 3})})
            if isinstance(block.mixing, config.PerformerLayer)
            else block
            for block in own.blocks
        )
        return own.model_copy(update={"blocks": blocks})


class Stopped(Doubling):
    """Is interrupted after so many batches."""

    def __init__(self, after: int, **recipe: Any) -> None:
        super().__init__(**recipe)
        self.after = after

    def batch(self, generator: torch.Generator) -> Batch:
        if self.calls == self.after:
            raise KeyboardInterrupt
        return super().batch(generator)


class Scored(Doubling):
    """Its validation scores are given."""

    def __init__(self, scores: list[float], **recipe: Any) -> None:
        super().__init__(**recipe)
        self.scores = iter(scores)

    def score(self, figures: Mapping[str, float]) -> float:
        return next(self.scores)


class Diverging(Doubling):
    """Its loss is no number from the third step on."""

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        loss = super().loss(outputs, batch)
        return loss * torch.nan if self.calls > 2 else loss
