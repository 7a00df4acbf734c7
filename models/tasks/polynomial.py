"""Figure 2 of the Sumformer paper: g([x1, x2, x3]) = x1 + 7 x1^2 + 3 x1 (x2 + x3)^3.

Products and powers are component-wise; tokens are uniform in [0, 1]^d, three to a sequence (or n:
the others' sum takes the place of x2 + x3), never seen twice. The error is the relative
L2 norm ||y' - y|| / ||y||.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from models import config
from models.architectures import Size
from models.pack import Pack
from models.signature import Output, Signature, VectorColumn
from models.tasks.task import Batch, Outputs, Recipe, Task, held_out

BATCH, HELD_OUT = 512, 10_000
MOST_NUMBERS = 2_000_000  # in one batch of long sequences
PAPER = 3  # tokens; targets grow as the cube of their number, and beyond need a unit


def target(tokens: Tensor) -> Tensor:
    """(B, n, d) -> (B, n, d): the paper's g, for every token of every sequence."""
    others = tokens.sum(dim=1, keepdim=True) - tokens
    return tokens + 7 * tokens.pow(2) + 3 * tokens * others.pow(3)


def relative_error(output: Tensor, wanted: Tensor) -> Tensor:
    """||output - wanted|| / ||wanted||, over all entries."""
    error: Tensor = (output - wanted).norm() / wanted.norm()
    return error


def sample(sequences: int, generator: torch.Generator, n: int = 3, d: int = 4) -> Batch:
    """Fresh sequences of n tokens of width d, and their targets (T, d)."""
    tokens = torch.rand(sequences, n, d, generator=generator)
    pack = Pack({"x": tokens.flatten(0, 1)}, torch.full((sequences,), n))
    return Batch(pack, {"y": target(tokens).flatten(0, 1)})


class Polynomial(Task):
    """The per-token target of Figure 2; one layer, no residual: Definition 3.1 as it stands."""

    name = "polynomial"
    recipe = Recipe(steps=12_000, learning_rate=4e-3, clip=None)

    def __init__(self, n: int = 3, d: int = 4) -> None:
        if n < 1 or d < 1:
            raise ValueError(f"polynomial: n and d are at least 1, not {n} and {d}")
        self.n, self.d = n, d
        self.trained_lengths = (n, n)
        self.size = Size(aggregation="sum", degree=n)
        unit = (n / PAPER) ** 3
        output = Output(per="token", width=d, scale=(unit,) * d if n > PAPER else ())
        self.signature = Signature(columns=(VectorColumn(width=d),), outputs=(output,))

    def config(self, architecture: str) -> config.ModelConfig:
        if architecture != self.architecture:
            return super().config(architecture)
        pool = config.SumPool(phi=(64,), latent_dim=max(16, 2 * self.d))
        layer = config.SumformerLayer(pool=pool, psi=(128, 128), width=self.d)
        return config.ModelConfig(
            architecture=architecture,
            signature=self.signature,
            blocks=(config.Block(mixing=layer, residual=False),),
            heads=(config.TokenHead(),),
        )

    def fitting(self) -> Pack:
        return self._fresh(HELD_OUT, held_out(1)).pack

    def batch(self, generator: torch.Generator) -> Batch:
        return self._fresh(BATCH, generator)

    def validation(self) -> Batch:
        return self._fresh(HELD_OUT, held_out(2))

    def tests(self) -> dict[str, Batch]:
        return {"": self._fresh(HELD_OUT, held_out(3))}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        return relative_error(outputs["y"], batch.targets["y"]) ** 2

    def figures(self, outputs: Outputs, batch: Batch) -> dict[str, float]:
        return {"relative_error": relative_error(outputs["y"], batch.targets["y"]).item()}

    def score(self, figures: Mapping[str, float]) -> float:
        return -figures["relative_error"]

    def _fresh(self, sequences: int, generator: torch.Generator) -> Batch:
        most = max(1, MOST_NUMBERS // (self.n * self.d))
        return sample(min(sequences, most), generator, self.n, self.d)


TASK = Polynomial()
