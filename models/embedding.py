"""From an input column to hidden tokens. Input statistics live here, not with the caller."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.config import IdsInput, VectorInput


class VectorEmbedding(nn.Module):
    """(T, width) -> (T, embedding): standardise with stored statistics, then a linear map.

    Without an embedding width the standardised vectors are the hidden tokens.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, column: VectorInput, width: int | None) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(column.width))
        self.register_buffer("std", torch.ones(column.width))
        self.project: nn.Module = nn.Linear(column.width, width) if width else nn.Identity()

    def fit(self, tokens: Tensor) -> None:
        """Take mean and standard deviation from training tokens (T, width).

        A column that never varied is only centred.
        """
        std = tokens.std(0)
        self.mean.copy_(tokens.mean(0))
        self.std.copy_(torch.where(std > 0, std, 1.0))

    def forward(self, tokens: Tensor) -> Tensor:
        """(T, width) -> (T, embedding)."""
        out: Tensor = self.project((tokens - self.mean) / self.std)
        return out


class IdEmbedding(nn.Module):
    """(T,) ids in low..high -> (T, width) rows of a learned table."""

    def __init__(self, column: IdsInput, width: int) -> None:
        super().__init__()
        self.low = column.low
        self.table = nn.Embedding(column.high - column.low + 1, width)

    def fit(self, tokens: Tensor) -> None:
        """Ids have no statistics."""

    def forward(self, ids: Tensor) -> Tensor:
        """(T,) -> (T, width)."""
        out: Tensor = self.table(ids - self.low)
        return out
