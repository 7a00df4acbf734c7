"""Attention from learned queries that no token changes: the first half of ISAB, and PMA.

Such attention has a summary of fixed size that merges (running maximum, sum of exponentials, sum of
weighted values), so it packs and chunks like a sum.
"""

from __future__ import annotations

from math import e, log, log2

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from models.mlp import ACTIVATIONS
from models.summary import Segments, Summary

BITS, NATS = log2(e), log(2)  # exp(x) = 2^(BITS x), 2^x = exp(NATS x)


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
        bits, value = self._bits(hidden), self._split(self.value(hidden))
        top = segments.max(bits.detach()).ceil()
        weights = ((bits - segments.spread(top)) * NATS).exp()
        ones = value.new_ones(*value.shape[:2], 1)
        return {"top": top, "weighted": segments.outer(weights, torch.cat([value, ones], dim=2))}

    def _bits(self, hidden: Tensor) -> Tensor:
        """hidden (T, width) -> scores (T, H, S), in bits.

        <q, W h + b> = <W^T q, h> + <q, b>: queries that are fixed need no keys, only a linear map.
        """
        query = self._split(self.query(self.seeds))
        scale, key = BITS * query.shape[-1] ** -0.5, self.key.weight.unflatten(0, (self.heads, -1))
        weight = scale * torch.einsum("shw,hwd->hsd", query, key)
        bias = scale * torch.einsum("shw,hw->hs", query, self.key.bias.view(self.heads, -1))
        scores: Tensor = linear(hidden, weight.flatten(0, 1), bias.flatten())
        return scores.view(-1, *bias.shape)

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
