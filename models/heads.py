"""From hidden tokens to outputs: a row per token, or a row per sequence from one more summary."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models import config
from models.mlp import MLP
from models.pools import build_pool
from models.signature import Output
from models.summary import Segments, Summary


class TokenHead(nn.Module):
    """The hidden token itself, through an MLP where hidden widths are given."""

    def __init__(self, own: config.TokenHead, output: Output, width: int, activation: str) -> None:
        super().__init__()
        self.output = output
        self.mlp: nn.Module = nn.Identity()
        if own.hidden is not None:
            self.mlp = MLP(width, own.hidden, output.width, activation)

    def forward(self, hidden: Tensor) -> Tensor:
        """hidden (T, width) -> (T, width of the output)."""
        return self.output.in_units(self.mlp(hidden))


class SequenceHead(nn.Module):
    """rho(summary, n), and the sequence's context where there is one; reads no token."""

    def __init__(
        self, own: config.SequenceHead, output: Output, width: int, context: int, activation: str
    ) -> None:
        super().__init__()
        self.output = output
        self.pool = build_pool(width, own.pool, activation)
        self.rho = MLP(self.pool.width + context, own.rho, output.width, activation)

    def contribution(self, hidden: Tensor, segments: Segments) -> Summary:
        """hidden (T, width) -> the summary of each segment."""
        return self.pool.contribution(hidden, segments)

    def readout(self, summary: Summary, counts: Tensor, context: Tensor | None) -> Tensor:
        """The summary of whole sequences, (N, 2) counts, (N, c) context -> (N, output width)."""
        rows = self.pool.features(summary, counts)
        if context is not None:
            rows = torch.cat([rows, context], dim=1)
        return self.output.in_units(self.rho(rows))
