"""Softmax attention over tiles: exact, in time and memory of the places that the tiles have.

A tile says which queries may read which keys; this module does not know why (see patterns).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

Reads = Callable[[Tensor, Tensor], Tensor]

MOST = 2**22  # numbers in the largest block of scores or gathered rows


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """G groups in which each of `a` queries may read each of `b` keys; -1 stands for no token.

    queries (G, a) and keys (G, b) are int64, b > 0, and no query comes twice. Both predicates take
    broadcastable queries and keys: a place is a connection if `reads` says so (without it, all
    are) and nothing in `unless` does.
    """

    queries: Tensor
    keys: Tensor
    reads: Reads | None = None
    unless: tuple[Reads, ...] = ()

    def mask(self) -> Tensor:
        """(G, a, b): which places are connections."""
        query, key = self.queries[:, :, None], self.keys[:, None, :]
        places = (query >= 0) & (key >= 0)
        if self.reads is not None:
            places = places & self.reads(query, key)
        for other in self.unless:
            places = places & ~other(query, key)
        return places


class Tiled(Protocol):
    """Whatever lays the connections among n tokens out as tiles, one place for each."""

    def tiles(self, n: int, device: torch.device | None = None) -> list[Tile]:
        """The tiles for n tokens."""


@dataclass(frozen=True, slots=True, eq=False)
class _Partial:
    """Softmax over some of the keys, unfinished, relative to exp(peak).

    out: what is read, and in one more column the sum of weights that it is to be divided by.
    """

    out: Tensor
    peak: Tensor

    def merge(self, other: _Partial) -> _Partial:
        """The same over the keys of both, which share none."""
        peak = torch.maximum(self.peak, other.peak)
        mine, theirs = (self.peak - peak).exp(), (other.peak - peak).exp()
        return _Partial(self.out * mine + other.out * theirs, peak)


def sparse_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    pattern: Tiled,
    scale: float,
    most: int | None = MOST,
) -> Tensor:
    """B sequences of n tokens (B, n, H, w) -> (B, n, H, w): every query reads its connections.

    Yun et al. 2020, eq. (2) with softmax of scale * <query, key>. Every query needs a connection.
    Blocks of more than ``most`` numbers are cut; without a bound sizes may be symbols.
    """
    batch, n, heads, _ = query.shape
    q, k, v = _rows(query * scale), _rows(key), _rows(pad(value, (0, 1), value=1.0))
    merged: _Partial | None = None
    for tile in pattern.tiles(n, query.device):
        parts = [(part.queries, _attend(q, k, v, part)) for part in _cut(tile, q, most)]
        found = _in_order(parts, n)
        merged = found if merged is None else merged.merge(found)
    assert merged is not None
    out = merged.out[..., :-1] / merged.out[..., -1:]
    return out.view(batch, heads, n, value.shape[3]).transpose(1, 2)


def _rows(tokens: Tensor) -> Tensor:
    """(B, n, H, w) -> (B * H, n + 1, w); the zeros at the end are read in place of no token."""
    return pad(tokens.transpose(1, 2), (0, 0, 0, 1)).flatten(0, 1)


def _take(rows: Tensor, tokens: Tensor) -> Tensor:
    """(R, n + 1, w) and (G, a) -> (R, G, a, w)."""
    index = torch.where(tokens < 0, rows.shape[1] - 1, tokens)
    taken = rows.index_select(1, index.flatten())
    return taken.view(rows.shape[0], *index.shape, rows.shape[2])


def _cut(tile: Tile, rows: Tensor, most: int | None) -> Iterator[Tile]:
    """The tile in parts of bounded size: by groups, and by queries where one group is too large.

    At least one query goes with all the keys of its group.
    """
    if most is None:
        yield tile
        return
    each = max(1, rows.shape[0] * tile.keys.shape[1])
    groups = max(1, most // (each * max(1, tile.queries.shape[1], rows.shape[2])))
    pairs = zip(torch.split(tile.queries, groups), torch.split(tile.keys, groups), strict=True)
    for queries, keys in pairs:
        for some in torch.split(queries, max(1, most // each), dim=1):
            yield replace(tile, queries=some, keys=keys)


def _attend(q: Tensor, k: Tensor, v: Tensor, tile: Tile) -> _Partial:
    """Rows (R, n + 1, w) -> the tile's queries (R, G, a, ...), zero where one has no connection."""
    scores = _take(q, tile.queries) @ _take(k, tile.keys).transpose(2, 3)
    scores = scores.masked_fill_(~tile.mask(), -torch.inf)
    # a constant: the result does not depend on it, and a finite one even where all are -inf
    peak = scores.detach().amax(3, keepdim=True).clamp(min=torch.finfo(scores.dtype).min)
    weights = scores.sub_(peak).exp_()
    return _Partial(weights @ _take(v, tile.keys), peak)


def _in_order(parts: list[tuple[Tensor, _Partial]], n: int) -> _Partial:
    """Parts of one tile -> (R, n, ...): nothing read by the tokens that are in none of them."""
    index = torch.cat([queries.flatten() for queries, _ in parts])
    index = torch.where(index < 0, n, index)

    def place(pieces: list[Tensor], absent: float) -> Tensor:
        rows = torch.cat([piece.flatten(1, 2) for piece in pieces], dim=1)
        empty = rows.new_full((rows.shape[0], n + 1, rows.shape[2]), absent)
        return empty.index_copy(1, index, rows)[:, :n]

    return _Partial(
        place([part.out for _, part in parts], 0.0),
        place([part.peak for _, part in parts], torch.finfo(parts[0][1].out.dtype).min),
    )
