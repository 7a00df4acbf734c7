"""What every task offers the one training loop: batches, a loss, figures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from models.architectures import BOUNDED, Size, build
from models.config import ModelConfig
from models.model import Model
from models.pack import Pack
from models.signature import Output, Signature

Outputs = Mapping[str, Tensor]
HELD_OUT = 2**31  # seeds from here on are not for training; generators know 32 bits of them


@dataclass(frozen=True, slots=True)
class Batch:
    """A pack and its targets: name -> (T, ...) or (N, ...), classes as int64, numbers as floats."""

    pack: Pack
    targets: dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train: optimiser steps, the peak of the rate, and what keeps it stable."""

    steps: PositiveInt
    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat = 0.0
    evaluate_every: PositiveInt = 500
    clip: PositiveFloat | None = 1.0
    patience: PositiveInt | None = None


class Task(ABC):
    """Data, model and score of one task. Scores are better when higher."""

    name: str
    signature: Signature
    trained_lengths: tuple[int, int]
    recipe: Recipe
    size: Size = Size()
    architecture: str = "sumformer"
    options: Mapping[str, int] = MappingProxyType({})  # what it was loaded with, for the record
    asked_model: Mapping[str, str] = MappingProxyType({})  # what was asked of its model, as typed

    @abstractmethod
    def batch(self, generator: torch.Generator) -> Batch:
        """A training batch."""

    def validation(self) -> Batch:
        """Data that chooses the step to keep; fresh where data are endless."""
        return self.batch(held_out(2))

    def tests(self) -> dict[str, Batch]:
        """Data read once, after training; figures carry the name, "" for the only one."""
        return {"": self.batch(held_out(3))}

    def fitting(self) -> Pack:
        """Training inputs whose statistics the model takes."""
        return self.batch(held_out(1)).pack

    def config(self, architecture: str) -> ModelConfig:
        """The model of that architecture for this task; ValueError when there can be none.

        One whose weights belong to places takes no longer sequences than there are data of.
        """
        shape = self.signature
        if architecture in BOUNDED and shape.max_length is None:
            shape = shape.model_copy(update={"max_length": self.longest})
        return build(architecture, shape, self.size)

    @property
    def longest(self) -> int:
        """The length up to which a model with weights for places is made."""
        return self.trained_lengths[1]

    @property
    def fingerprint(self) -> str:
        """Tells data apart that are not drawn by a seed."""
        return ""

    def state(self) -> dict[str, Any]:
        """What the next batch depends on besides the generator: nothing, where data are drawn."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a state; an empty one is the beginning."""
        assert not state, "where data are drawn there is no place to go back to"

    def initialise(self, model: Model) -> None:
        """Change a new model's weights, where training does not find the way by itself."""
        return

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """A scalar to minimise: the sum over outputs of cross-entropy or mean squared error."""
        parts = [
            output_loss(output, outputs[output.name], batch.targets[output.name])
            for output in self.signature.outputs
        ]
        return torch.stack(parts).sum()

    def figures(self, outputs: Outputs, batch: Batch) -> dict[str, float]:
        """What is reported: the loss, and per output its accuracy or root mean squared error."""
        found = {"loss": self.loss(outputs, batch).item()}
        many = len(self.signature.outputs) > 1
        for output in self.signature.outputs:
            name, value = output_figure(output, outputs[output.name], batch.targets[output.name])
            found[f"{output.name}_{name}" if many else name] = value
        return found

    def score(self, figures: Mapping[str, float]) -> float:
        """The step with the highest on validation data is kept."""
        return -figures["loss"]


def output_loss(output: Output, found: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy of classes, binary where there is one logit; mean squared error of numbers.

    Errors count in the output's scale, so that large units do not drown others. Without any row,
    as in a batch of empty sequences with an output per token, there is nothing to lose.
    """
    if not len(found):
        return found.sum()
    if output.kind == "regression":
        scale = torch.tensor(output.scale or (1.0,), device=found.device)
        return ((found - wanted.view_as(found)) / scale).square().mean()
    if output.width == 1:
        return binary_cross_entropy_with_logits(found[:, 0], wanted.to(found.dtype))
    return cross_entropy(found, wanted)


def output_figure(output: Output, found: Tensor, wanted: Tensor) -> tuple[str, float]:
    """The figure people read: accuracy, or the root of the mean squared error; of no row, 0."""
    if output.kind == "regression":
        errors = (found - wanted.view_as(found)).square()
        return "rmse", errors.mean().sqrt().item() if len(found) else 0.0
    chosen = found[:, 0] > 0 if output.width == 1 else found.argmax(1)
    return "accuracy", (chosen == wanted).float().mean().item() if len(found) else 0.0


def held_out(part: int) -> torch.Generator:
    """Randomness of data that no training run draws, whatever its seed."""
    return torch.Generator().manual_seed(HELD_OUT + part)
