"""Attention from learned queries that no token changes: the first half of ISAB, and PMA.

Such attention has a summary of fixed size that merges (running maximum, sum of exponentials, sum of
weighted values), so it packs and chunks like a sum.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.mlp import ACTIVATIONS
from models.summary import Segments, Summary


class FeedForward(nn.Module):
    """LN(h + rFF(h)): the second half of a MAB (Set Transformer, section 3.1), rows to rows."""

    def __init__(self, width: int, activation: str) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.activation, self.norm = ACTIVATIONS[activation](), nn.LayerNorm(width)

    def forward(self, rows: Tensor) -> Tensor:
        """(..., width) -> (..., width)."""
        out: Tensor = self.norm(rows + self.last(self.activation(self.first(rows))))
        return out


class FixedAttention(nn.Module):
    """MAB(seeds, X): S learned seeds attend to a sequence -> S rows of ``width`` per sequence.

    ``mix`` lets the rows of a sequence attend to each other once more (SAB).
    """

    def __init__(self, width: int, seeds: int, heads: int, activation: str, mix: bool) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"attention: {heads} heads do not divide a width of {width}")
        self.heads, self.seeds = heads, nn.Parameter(torch.empty(seeds, width))
        nn.init.xavier_uniform_(self.seeds)
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.norm, self.feed_forward = nn.LayerNorm(width), FeedForward(width, activation)
        self.mix = SelfAttention(width, heads, activation) if mix else nn.Identity()

    def contribution(self, hidden: Tensor, segments: Segments) -> Summary:
        """hidden (T, width) -> {"top": (N, H, S), "weighted": (N, H, S, w + 1)}, w = width / H."""
        query = self._split(self.query(self.seeds))
        key, value = self._split(self.key(hidden)), self._split(self.value(hidden))
        scores = torch.einsum("thw,shw->ths", key, query) * query.shape[-1] ** -0.5
        top = segments.max(scores.detach())
        weights = (scores - segments.spread(top)).exp()
        ones = value.new_ones(*value.shape[:2], 1)
        return {"top": top, "weighted": segments.outer(weights, torch.cat([value, ones], dim=2))}

    def rows(self, summary: Summary) -> Tensor:
        """-> (N, S, width); an empty sequence has the seeds' own rows."""
        values, total = summary["weighted"][..., :-1], summary["weighted"][..., -1:]
        read = values / torch.where(total > 0, total, 1.0)
        merged = self.out(read.transpose(1, 2).flatten(2))
        out: Tensor = self.mix(self.feed_forward(self.norm(self.seeds + merged)))
        return out

    def _split(self, rows: Tensor) -> Tensor:
        split: Tensor = rows.unflatten(-1, (self.heads, -1))
        return split


class SelfAttention(nn.Module):
    """SAB over the few rows of each sequence (Set Transformer, section 3.1)."""

    def __init__(self, width: int, heads: int, activation: str) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm, self.feed_forward = nn.LayerNorm(width), FeedForward(width, activation)

    def forward(self, rows: Tensor) -> Tensor:
        """(N, S, width) -> (N, S, width)."""
        mixed = self.attention(rows, rows, rows, need_weights=False)[0]
        out: Tensor = self.feed_forward(self.norm(rows + mixed))
        return out
