"""Exact softmax attention over the connections of a pattern (Yun et al. 2020), and nothing else."""

from __future__ import annotations

from copy import copy
from inspect import signature

import torch
from torch import Tensor

from models import config
from models.layers.attention import ExactAttention
from models.layers.layer import Frame
from models.sparse.attention import MOST, sparse_attention
from models.sparse.patterns import PATTERNS, Pattern, assign


class SparseLayer(ExactAttention):
    """Heads over the parts of a pattern, as ``union``, ``multihead`` or ``sequential`` say.

    Tiles are cut to ``most`` numbers, unless it is None.
    """

    equivariant = False
    unpadded = True
    most: int | None = MOST

    def __init__(self, own: config.SparseLayer, frame: Frame) -> None:
        super().__init__(own, frame)
        self.assigned = _assigned(own)
        self._widest = max(own.reach, own.globals, own.keys)

    @property
    def roomy(self) -> int:
        """A length at which no width of the pattern is cut short by the sequence."""
        return 8 * self._widest + 5

    def open(self) -> SparseLayer:
        """The same layer, whose tiles are not cut."""
        twin = copy(self)
        twin.most = None
        return twin

    def places(self, n: int) -> int:
        """How many keys a query is held against at most, of n, counting what is masked."""
        tiles = (pattern.tiles(n) for pattern, _ in self.assigned)
        counts = [sum(t.queries.numel() * t.keys.shape[1] for t in every) for every in tiles]
        return -(-max(counts) // max(1, n))

    def attend(self, query: Tensor, key: Tensor, value: Tensor, valid: Tensor | None) -> Tensor:
        """(B, n, H, w) each, sequences of one length -> (B, n, H, w)."""
        assert valid is None, "patterns depend on the length"
        parts, begin, scale = [], 0, self.heads.head_width**-0.5
        for pattern, heads in self.assigned:
            own = slice(begin, begin + heads)
            q, k, v = query[:, :, own], key[:, :, own], value[:, :, own]
            parts.append(sparse_attention(q, k, v, pattern, scale, self.most))
            begin += heads
        return torch.cat(parts, dim=2)


def _assigned(own: config.SparseLayer) -> list[tuple[Pattern, int]]:
    """The patterns of the heads, in order, each with its number of heads."""
    make = PATTERNS[own.pattern]
    wanted = {"width": own.reach, "count": own.globals, "keys": own.keys, "seed": own.seed}
    asked = signature(make).parameters
    patterns = make(**{name: value for name, value in wanted.items() if name in asked})
    return assign(patterns, own.configuration, own.heads, own.layer)
