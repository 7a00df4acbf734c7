"""Sets of vectors in [-1, 1]^4 -> the sum of their squared norms; the figure is the rmse.

One latent number is enough for it. `moment_norm` is the harder target for questions about d': how
many numbers it needs is known exactly.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.architectures import Size
from models.pack import Pack
from models.signature import Output, Signature, VectorColumn
from models.tasks.sets import SetTask
from models.tasks.task import Batch, Recipe

D = 4


def sample(lengths: Tensor, generator: torch.Generator, width: int = D) -> Pack:
    """Sets of these lengths (N,), their tokens uniform in [-1, 1]^width."""
    tokens = torch.rand(int(lengths.sum()), width, generator=generator)
    return Pack({"x": 2 * tokens - 1}, lengths)


def sum_of_squares(pack: Pack) -> Tensor:
    """sum_i |x_i|^2 of each set -> (N, 1)."""
    return pack.sum(pack.columns["x"].square().sum(1, keepdim=True))


def moment_norm(pack: Pack, power: int) -> Tensor:
    """sum_ij (x_i . x_j)^power = |sum_i x_i (x) ... (x) x_i|^2 of each set -> (N, 1).

    A sum over tokens that is to answer for every set of every size must tell the whole symmetric
    tensor, as more tokens may follow: C(d + power - 1, power) numbers, and no fewer.
    """
    tokens = rows = pack.columns["x"]
    for _ in range(power - 1):
        rows = (rows[:, :, None] * tokens[:, None, :]).flatten(1)
    return pack.sum(rows).square().sum(1, keepdim=True)


class SumOfSquares(SetTask):
    """One number per set; sums grow with the set, and so does what is asked for."""

    name = "sum_of_squares"
    signature = Signature(
        columns=(VectorColumn(name="x", width=D),),
        outputs=(Output(name="sum_of_squares", per="sequence", width=1),),
    )
    trained_lengths = (1, 10)
    sets_per_batch, held_out_sets = 512, 5_000
    recipe = Recipe(steps=6_000, learning_rate=4e-3)
    size = Size(blocks=1, aggregation="sum")

    def sample(self, lengths: Tensor, generator: torch.Generator) -> Batch:
        pack = sample(lengths, generator)
        return Batch(pack, {"sum_of_squares": sum_of_squares(pack)})


TASK = SumOfSquares()
