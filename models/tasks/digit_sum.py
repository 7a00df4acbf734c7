"""Sets of the ids 1..9 -> their sum: DeepSets' experiment, trained to length 10, tested to 1000.

A pooled model with sum aggregation and a linear rho extrapolates, because the sum does.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.config import IdsInput, PoolConfig, SequenceHead, SumformerConfig
from models.pack import Pack
from models.sumformer import Sumformer
from models.tasks.task import Kind, Recipe

BATCH = 256
TRAINED = (1, 10)
TESTED = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def sample(lengths: Tensor, generator: torch.Generator) -> tuple[Pack, Tensor]:
    """Sets of these lengths (N,) and their sums (N, 1)."""
    ids = torch.randint(1, 10, (int(lengths.sum()),), generator=generator)
    pack = Pack.of(ids, lengths)
    return pack, pack.sum(ids[:, None].float())


class DigitSum:
    """The sum of a set of digits: one number per sequence, to be rounded; empty sets are zero."""

    name = "digit_sum"
    kind: Kind = "regression"
    labels: tuple[str, ...] | None = None
    trained_lengths = TRAINED
    recipe = Recipe(steps=20_000, learning_rate=1e-2)
    config = SumformerConfig(
        input=IdsInput(name="digits", low=1, high=9),
        embedding=8,
        head=SequenceHead(name="sum", width=1, pool=PoolConfig(phi=(32,), latent_dim=8)),
        min_length=0,
    )

    def fit(self, model: Sumformer) -> None:
        """Ids have no statistics."""

    def batch(self, generator: torch.Generator) -> tuple[Pack, Tensor]:
        return sample(torch.randint(1, TRAINED[1] + 1, (BATCH,), generator=generator), generator)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return (output - target).square().mean()

    def validate(self, model: Sumformer) -> dict[str, float]:
        pack, target = self._sets(TRAINED[1], 2000, seed=2)
        error = (model(pack) - target).abs().max().item()
        return {"largest_error": error, "score": -error}

    def test(self, model: Sumformer) -> dict[str, float]:
        return {f"accuracy_at_{n}": self._accuracy(model, n) for n in TESTED}

    def _sets(self, length: int, sets: int, seed: int) -> tuple[Pack, Tensor]:
        return sample(torch.full((sets,), length), torch.Generator().manual_seed(seed))

    def _accuracy(self, model: Sumformer, length: int) -> float:
        pack, target = self._sets(length, 500, seed=3)
        hits: Tensor = model(pack).round() == target
        return hits.float().mean().item()


TASK = DigitSum()
