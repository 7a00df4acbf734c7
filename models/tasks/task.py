"""What every task offers the one training loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from models.config import SumformerConfig
from models.pack import Pack
from models.sumformer import Sumformer

Kind = Literal["classification", "regression"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long and how fast to train: optimiser steps and the peak of the one-cycle rate."""

    steps: int
    learning_rate: float
    weight_decay: float = 0.0
    evaluate_every: int = 500


class Task(Protocol):
    """Data, model and score of one task. Scores are better when higher."""

    name: str
    kind: Kind
    labels: tuple[str, ...] | None
    trained_lengths: tuple[int, int]
    recipe: Recipe
    config: SumformerConfig

    def fit(self, model: Sumformer) -> None:
        """Store the statistics of the training inputs in the model."""

    def batch(self, generator: torch.Generator) -> tuple[Pack, Tensor]:
        """A training batch: a pack and its targets."""

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """A scalar to minimise."""

    def validate(self, model: Sumformer) -> dict[str, float]:
        """Figures on validation data; ``score`` decides which step is kept."""

    def test(self, model: Sumformer) -> dict[str, float]:
        """Figures on test data, read once, after training."""
