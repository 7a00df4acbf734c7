"""The largest of 1 to 10 integers from 1..99: the Set Transformer paper, section 5.1.

The figure is the mean absolute error. Published: max pooling 0.1355, SAB + PMA 0.2085, mean 2.133.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import l1_loss

from models.architectures import Size
from models.pack import Pack
from models.signature import Output, Signature, VectorColumn
from models.tasks.task import Batch, Outputs, Recipe, Task, held_out

BATCH = 256
LARGEST = 99


def sample(lengths: Tensor, generator: torch.Generator) -> Batch:
    """Sets of these lengths (N,) and their maxima (N, 1)."""
    numbers = torch.randint(1, LARGEST + 1, (int(lengths.sum()), 1), generator=generator).float()
    pack = Pack({"x": numbers}, lengths)
    return Batch(pack, {"max": pack.max(numbers)})


class MaxRegression(Task):
    """One number per set, in the unit of the numbers themselves."""

    name = "max_regression"
    signature = Signature(
        columns=(VectorColumn(name="x", width=1),),
        outputs=(Output(name="max", per="sequence", width=1),),
    )
    trained_lengths = (1, 10)
    recipe = Recipe(steps=8_000, learning_rate=4e-3)
    size = Size(blocks=1)
    architecture = "pointnet"

    def batch(self, generator: torch.Generator) -> Batch:
        return self.sets(BATCH, generator)

    def validation(self) -> Batch:
        return self.sets(10_000, held_out(2))

    def tests(self) -> dict[str, Batch]:
        return {"": self.sets(10_000, held_out(3))}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        return l1_loss(outputs["max"], batch.targets["max"])

    def figures(self, outputs: Outputs, batch: Batch) -> dict[str, float]:
        return {"mae": self.loss(outputs, batch).item()}

    def score(self, figures: Mapping[str, float]) -> float:
        return -figures["mae"]

    def sets(self, count: int, generator: torch.Generator) -> Batch:
        """Fresh sets of the trained lengths."""
        low, high = self.trained_lengths
        return sample(torch.randint(low, high + 1, (count,), generator=generator), generator)


TASK = MaxRegression()
