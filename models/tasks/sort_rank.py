"""Sorting as a per-token task: for every number, the share of its set that is smaller, rank / n.

Numbers are uniform in [0, 1] and distinct. Figures: the rmse of the share, and the accuracy, the
share of tokens whose rank is exact after rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.pack import Pack
from models.signature import Output, Signature, VectorColumn
from models.tasks.sets import SetTask
from models.tasks.task import Batch, Outputs, Recipe


def ranks(numbers: Tensor, pack: Pack) -> Tensor:
    """numbers (T,) in [0, 1) -> (T,) how many of the same set come before each one in order."""
    order = (pack.owner + numbers.double()).argsort()
    # A set's numbers stay in the set's own places, so that a place less its start is a rank.
    return torch.empty_like(order).scatter(0, order, pack.position)


def distinct(lengths: Tensor, generator: torch.Generator) -> Tensor:
    """(T,) uniform numbers, no two of them the same: one pack in a thousand is drawn again."""
    while True:
        numbers = torch.rand(int(lengths.sum()), generator=generator)
        owner = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
        if (owner + numbers.double()).sort().values.diff().all():
            return numbers


class SortRank(SetTask):
    """One share per token; times n, it is the token's place in the sorted set, from 0."""

    name = "sort_rank"
    signature = Signature(
        columns=(VectorColumn(name="x", width=1),),
        outputs=(Output(name="rank", per="token", width=1),),
    )
    trained_lengths = (1, 64)
    sets_per_batch, held_out_sets = 128, 1_000
    recipe = Recipe(steps=10_000, learning_rate=3e-3)

    def sample(self, lengths: Tensor, generator: torch.Generator) -> Batch:
        """Sets of these lengths (N,) and the shares (T,)."""
        numbers = distinct(lengths, generator)
        pack = Pack({"x": numbers[:, None]}, lengths)
        return Batch(pack, {"rank": ranks(numbers, pack) / pack.spread(lengths)})

    def figures(self, outputs: Outputs, batch: Batch) -> dict[str, float]:
        lengths = batch.pack.spread(batch.pack.lengths)
        found, wanted = outputs["rank"][:, 0] * lengths, batch.targets["rank"] * lengths
        exact = found.round() == wanted.round()
        return super().figures(outputs, batch) | {"accuracy": exact.float().mean().item()}


TASK = SortRank()
