"""What attention layers share: projections to heads and back, rotary positions, and how those go
about it that need all keys of a sequence."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from models import config
from models.buckets import buckets, gather, scatter
from models.layers.layer import Frame, Layer
from models.pack import Pack


class Projections(nn.Module):
    """W_Q, W_K, W_V and W_O (Sumformer, Definition 2.1), and their biases, if they have any."""

    def __init__(self, own: config.Attention, frame: Frame) -> None:
        super().__init__()
        if own.head_width is None and frame.width % own.heads:
            raise ValueError(f"attention: {own.heads} heads do not divide width {frame.width}")
        self.heads, self.rotary = own.heads, own.rotary
        self.head_width = own.head_width or frame.width // own.heads
        if own.rotary and self.head_width % 2:
            raise ValueError(f"rotary: needs an even head width, not {self.head_width}")
        inner = self.heads * self.head_width
        self.query, self.key, self.value = (
            nn.Linear(frame.width, inner, bias=own.bias) for _ in range(3)
        )
        self.out = nn.Linear(inner, frame.width)

    def queries(self, hidden: Tensor, position: Tensor) -> Tensor:
        """(T, width) -> (T, H, w), turned by position where rotary."""
        return self._turned(self.split(self.query(hidden)), position)

    def keys(self, hidden: Tensor, position: Tensor) -> Tensor:
        """(T, width) -> (T, H, w), turned by position where rotary."""
        return self._turned(self.split(self.key(hidden)), position)

    def values(self, hidden: Tensor) -> Tensor:
        """(T, width) -> (T, H, w)."""
        return self.split(self.value(hidden))

    def merged(self, read: Tensor) -> Tensor:
        """(T, H, w) -> (T, width)."""
        out: Tensor = self.out(read.flatten(1))
        return out

    def split(self, rows: Tensor) -> Tensor:
        """(..., H w) -> (..., H, w)."""
        split: Tensor = rows.unflatten(-1, (self.heads, self.head_width))
        return split

    def _turned(self, rows: Tensor, position: Tensor) -> Tensor:
        return rotate(rows, position) if self.rotary else rows


class ExactAttention(Layer):
    """Attention that has no summary of fixed size: it needs all keys of a sequence.

    Projections run over the whole pack; only `attend` goes by sequences of like length, or of equal
    length where it is ``unpadded``.
    """

    unpadded = False

    def __init__(self, own: config.Attention, frame: Frame) -> None:
        super().__init__()
        self.heads = Projections(own, frame)

    def project(self, hidden: Tensor, position: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(T, width), (T,) -> queries, keys, values, (T, H, w) each."""
        heads = self.heads
        return heads.queries(hidden, position), heads.keys(hidden, position), heads.values(hidden)

    def places(self, n: int) -> int | None:
        """How many keys a query is held against at most, of n; None for all."""
        return None

    @property
    def roomy(self) -> int:
        """A length at which no width of the layer is cut short by the sequence."""
        return 21

    def open(self) -> ExactAttention:
        """The same layer, of sequences whose length may be a symbol, as in an exported graph."""
        return self

    @abstractmethod
    def attend(self, query: Tensor, key: Tensor, value: Tensor, valid: Tensor | None) -> Tensor:
        """(B, n, H, w) each -> (B, n, H, w); valid (B, n): which keys are tokens, None for all."""

    def forward(self, hidden: Tensor, pack: Pack) -> Tensor:
        """hidden (T, width) -> (T, width)."""
        projected = self.project(hidden, pack.position)
        groups, read = buckets(pack, exact=self.unpadded), []
        for bucket in groups:
            query, key, value = (gather(rows, bucket) for rows in projected)
            read.append(self.attend(query, key, value, None if bucket.full else bucket.valid))
        return self.heads.merged(scatter(read, groups, projected[2]))


def rotate(rows: Tensor, position: Tensor) -> Tensor:
    """Rotary positions (RoFormer): rows (T, H, w), position (T,) -> (T, H, w).

    The product of two turned rows depends on the difference of their positions only.
    """
    half = rows.shape[2] // 2
    places = torch.arange(half, device=rows.device, dtype=torch.float64)
    angle = (position[:, None] * 10_000.0 ** (-places / half))[:, None, :]
    cos, sin = angle.cos().to(rows.dtype), angle.sin().to(rows.dtype)
    a, b = rows[..., :half], rows[..., half:]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=2)
