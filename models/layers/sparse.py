"""Exact softmax attention over the connections of a pattern (Yun et al. 2020), and nothing else.

Projections run over the whole pack; only the attention itself goes by sequences of equal length.
"""

from __future__ import annotations

from inspect import signature

import torch
from torch import Tensor

from models import config
from models.buckets import buckets, gather, scatter
from models.layers.attention import Projections
from models.layers.layer import Frame, Layer
from models.pack import Pack
from models.sparse.attention import sparse_attention
from models.sparse.patterns import PATTERNS, Pattern, assign


class SparseLayer(Layer):
    """Heads over the parts of a pattern, as ``union``, ``multihead`` or ``sequential`` say."""

    equivariant = False

    def __init__(self, own: config.SparseLayer, frame: Frame) -> None:
        super().__init__()
        self.heads = Projections(own, frame)
        self.assigned = _assigned(own)

    def forward(self, hidden: Tensor, pack: Pack) -> Tensor:
        """hidden (T, width) -> (T, width)."""
        query = self.heads.queries(hidden, pack.position)
        key, value = self.heads.keys(hidden, pack.position), self.heads.values(hidden)
        groups = buckets(pack, exact=True)
        read = []
        for bucket in groups:
            q, k, v = (gather(rows, bucket) for rows in (query, key, value))
            read.append(self._attend(q, k, v))
        return self.heads.merged(scatter(read, groups, value))

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """(B, n, H, w) each, sequences of one length -> (B, n, H, w)."""
        parts, begin = [], 0
        for pattern, heads in self.assigned:
            own = slice(begin, begin + heads)
            q, k, v = query[:, :, own], key[:, :, own], value[:, :, own]
            parts.append(sparse_attention(q, k, v, pattern, self.heads.head_width**-0.5))
            begin += heads
        return torch.cat(parts, dim=2)


def _assigned(own: config.SparseLayer) -> list[tuple[Pattern, int]]:
    """The patterns of the heads, in order, each with its number of heads."""
    make = PATTERNS[own.pattern]
    wanted = {"width": own.reach, "count": own.globals, "keys": own.keys, "seed": own.seed}
    asked = signature(make).parameters
    patterns = make(**{name: value for name, value in wanted.items() if name in asked})
    return assign(patterns, own.configuration, own.heads, own.layer)
