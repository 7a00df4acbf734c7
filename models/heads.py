"""From hidden tokens to outputs: a row per token, or a row per sequence from one more summary."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models import config
from models.mlp import MLP
from models.pools import Pool, build_pool
from models.precision import wide
from models.signature import Output
from models.summary import Segments, Summary


class Units(nn.Module):
    """A head's numbers -> the answer in its own units: times a scale, plus an offset."""

    scale: Tensor
    offset: Tensor

    def __init__(self, output: Output) -> None:
        super().__init__()
        self.scaled = bool(output.scale or output.offset)
        scale, offset = output.scale or (1.0,), output.offset or (0.0,)
        self.register_buffer("scale", torch.tensor(scale), persistent=False)
        self.register_buffer("offset", torch.tensor(offset), persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        """(M, width) -> (M, width), in full precision: an offset may be far larger than a scale."""
        return wide(rows) * self.scale + self.offset if self.scaled else rows


class TokenHead(nn.Module):
    """The hidden token itself, through an MLP where hidden widths are given."""

    def __init__(self, own: config.TokenHead, output: Output, width: int, activation: str) -> None:
        super().__init__()
        self.units = Units(output)
        self.mlp: nn.Module = nn.Identity()
        if own.hidden is not None:
            self.mlp = MLP(width, own.hidden, output.width, activation)

    @classmethod
    def around(cls, mlp: nn.Module, output: Output) -> TokenHead:
        """A module that there is already."""
        made = cls.__new__(cls)
        nn.Module.__init__(made)
        made.units, made.mlp = Units(output), mlp
        return made

    def forward(self, hidden: Tensor) -> Tensor:
        """hidden (T, width) -> (T, width of the output)."""
        out: Tensor = self.units(self.mlp(hidden))
        return out


class SequenceHead(nn.Module):
    """rho(summary, n), and the sequence's context where there is one; reads no token."""

    def __init__(
        self, own: config.SequenceHead, output: Output, width: int, context: int, activation: str
    ) -> None:
        super().__init__()
        self.units = Units(output)
        self.pool = build_pool(width, own.pool, activation)
        self.rho: nn.Module = MLP(self.pool.width + context, own.rho, output.width, activation)

    @classmethod
    def around(cls, pool: Pool, rho: nn.Module, output: Output) -> SequenceHead:
        """A pool and a module that there are already."""
        made = cls.__new__(cls)
        nn.Module.__init__(made)
        made.units, made.pool, made.rho = Units(output), pool, rho
        return made

    def contribution(self, hidden: Tensor, segments: Segments) -> Summary:
        """hidden (T, width) -> the summary of each segment."""
        return self.pool.contribution(hidden, segments)

    def readout(self, summary: Summary, counts: Tensor, context: Tensor | None) -> Tensor:
        """The summary of whole sequences, (N, 2) counts, (N, c) context -> (N, output width)."""
        rows = self.pool.features(summary, counts)
        if context is not None:
            rows = torch.cat([rows, context], dim=1)
        out: Tensor = self.units(self.rho(rows))
        return out
