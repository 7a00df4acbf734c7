"""What attention layers share: projections to heads and back, and rotary positions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models import config
from models.layers.layer import Frame


class Projections(nn.Module):
    """W_Q, W_K, W_V and W_O (Sumformer, Definition 2.1); no biases but that of W_O."""

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
            nn.Linear(frame.width, inner, bias=False) for _ in range(3)
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
