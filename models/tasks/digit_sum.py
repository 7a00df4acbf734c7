"""Sets of the ids 1..9 -> their sum: DeepSets' experiment, trained to length 10, tested to 1000.

A pooled model with sum aggregation and a linear rho extrapolates, because the sum does.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from models import config
from models.architectures import Size
from models.pack import Pack
from models.signature import IdsColumn, Output, Signature
from models.tasks.task import Batch, Outputs, Recipe, Task, held_out

BATCH = 256
TESTED = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def sample(lengths: Tensor, generator: torch.Generator) -> Batch:
    """Sets of these lengths (N,) and their sums (N, 1)."""
    ids = torch.randint(1, 10, (int(lengths.sum()),), generator=generator)
    pack = Pack({"digits": ids}, lengths)
    return Batch(pack, {"sum": pack.sum(ids[:, None].float())})


class DigitSum(Task):
    """The sum of a set of digits: one number per sequence, to be rounded; empty sets are zero."""

    name = "digit_sum"
    trained_lengths = (1, 10)
    recipe = Recipe(steps=20_000, learning_rate=1e-2, clip=None)
    size = Size(width=32, aggregation="sum")
    signature = Signature(
        columns=(IdsColumn(name="digits", low=1, high=9),),
        outputs=(Output(name="sum", per="sequence", width=1),),
        min_length=0,
    )

    def config(self, architecture: str) -> config.ModelConfig:
        if architecture != self.architecture:
            return super().config(architecture)
        pool = config.SumPool(phi=(32,), latent_dim=8)
        return config.ModelConfig(
            architecture=architecture,
            signature=self.signature,
            embedding=config.Embedding(width=8),
            heads=(config.SequenceHead(pool=pool),),
        )

    def batch(self, generator: torch.Generator) -> Batch:
        longest = self.trained_lengths[1]
        return sample(torch.randint(1, longest + 1, (BATCH,), generator=generator), generator)

    def validation(self) -> Batch:
        return self._sets(self.trained_lengths[1], 2000, seed=2)

    def tests(self) -> dict[str, Batch]:
        return {str(n): self._sets(n, 500, seed=3) for n in TESTED}

    def figures(self, outputs: Outputs, batch: Batch) -> dict[str, float]:
        error = (outputs["sum"] - batch.targets["sum"]).abs()
        return {
            "accuracy": (error < 0.5).float().mean().item(),
            "largest_error": error.max().item(),
        }

    def score(self, figures: Mapping[str, float]) -> float:
        return -figures["largest_error"]

    def _sets(self, length: int, sets: int, seed: int) -> Batch:
        return sample(torch.full((sets,), length), held_out(seed))


TASK = DigitSum()
