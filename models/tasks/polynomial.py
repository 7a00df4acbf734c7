"""Figure 2 of the Sumformer paper: g([x1, x2, x3]) = x1 + 7 x1^2 + 3 x1 (x2 + x3)^3.

Products and powers are component-wise; tokens are uniform in [0, 1]^4, three to a sequence, and
never seen twice. The error is the relative L2 norm ||y' - y|| / ||y||.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.config import LayerConfig, PoolConfig, SumformerConfig, TokenHead, VectorInput
from models.pack import Pack
from models.sumformer import Sumformer
from models.tasks.task import Kind, Recipe

D, N = 4, 3
BATCH = 512


def target(tokens: Tensor) -> Tensor:
    """(B, n, d) -> (B, n, d): the paper's g, for every token of every sequence."""
    others = tokens.sum(dim=1, keepdim=True) - tokens
    return tokens + 7 * tokens.pow(2) + 3 * tokens * others.pow(3)


def relative_error(output: Tensor, wanted: Tensor) -> Tensor:
    """||output - wanted|| / ||wanted||, over all entries."""
    error: Tensor = (output - wanted).norm() / wanted.norm()
    return error


def sample(sequences: int, generator: torch.Generator) -> tuple[Pack, Tensor]:
    """Fresh sequences of three tokens, and their targets (T, d)."""
    tokens = torch.rand(sequences, N, D, generator=generator)
    lengths = torch.full((sequences,), N)
    return Pack.of(tokens.flatten(0, 1), lengths), target(tokens).flatten(0, 1)


class Polynomial:
    """The per-token target of Figure 2; one layer, no residual: Definition 3.1 as it stands."""

    name = "polynomial"
    kind: Kind = "regression"
    labels: tuple[str, ...] | None = None
    trained_lengths = (N, N)
    recipe = Recipe(steps=12_000, learning_rate=4e-3)
    config = SumformerConfig(
        input=VectorInput(width=D),
        layers=(LayerConfig(pool=PoolConfig(phi=(64,), latent_dim=16), psi=(128, 128), width=D),),
        head=TokenHead(width=D),
    )

    def fit(self, model: Sumformer) -> None:
        model.embed.fit(sample(10_000, torch.Generator().manual_seed(1))[0].tokens)

    def batch(self, generator: torch.Generator) -> tuple[Pack, Tensor]:
        return sample(BATCH, generator)

    def loss(self, output: Tensor, wanted: Tensor) -> Tensor:
        return relative_error(output, wanted) ** 2

    def validate(self, model: Sumformer) -> dict[str, float]:
        error = self._error(model, seed=2)
        return {"relative_error": error, "score": -error}

    def test(self, model: Sumformer) -> dict[str, float]:
        return {"relative_error": self._error(model, seed=3)}

    def _error(self, model: Sumformer, seed: int) -> float:
        pack, wanted = sample(10_000, torch.Generator().manual_seed(seed))
        return relative_error(model(pack), wanted).item()


TASK = Polynomial()
