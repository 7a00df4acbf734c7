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
from models.tasks.sets import SetTask
from models.tasks.task import Batch, Outputs, Recipe

LARGEST = 99


class MaxRegression(SetTask):
    """One number per set, in the unit of the numbers themselves."""

    name = "max_regression"
    signature = Signature(
        columns=(VectorColumn(name="x", width=1),),
        outputs=(Output(name="max", per="sequence", width=1),),
    )
    trained_lengths = (1, 10)
    sets_per_batch, held_out_sets = 256, 10_000
    recipe = Recipe(steps=8_000, learning_rate=4e-3)
    size = Size(blocks=1)
    architecture = "pointnet"

    def sample(self, lengths: Tensor, generator: torch.Generator) -> Batch:
        """Sets of these lengths (N,) and their maxima (N, 1)."""
        numbers = torch.randint(
            1, LARGEST + 1, (int(lengths.sum()), 1), generator=generator
        ).float()
        pack = Pack({"x": numbers}, lengths)
        return Batch(pack, {"max": pack.max(numbers)})

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        return l1_loss(outputs["max"], batch.targets["max"])

    def figures(self, outputs: Outputs, batch: Batch) -> dict[str, float]:
        return {"mae": self.loss(outputs, batch).item()}

    def score(self, figures: Mapping[str, float]) -> float:
        return -figures["mae"]


TASK = MaxRegression()
