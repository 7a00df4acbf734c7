"""Which tokens a token reads: sparse attention patterns (Yun et al. 2020) in O(connections).

`connects` is the truth about one pair of tokens; `tiles` lays all connections out in blocks.
"""
# ruff: noqa: D102 - said once, in Pattern

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from itertools import groupby
from typing import Literal

import torch
from torch import Tensor

from models.sparse.attention import Tile

Configuration = Literal["union", "multihead", "sequential"]

_min: Callable[[int, int], int] = torch.sym_min  # torch.export keeps sizes symbolic
_max: Callable[[int, int], int] = torch.sym_max
_LEAST = {"width": 1, "count": 1, "keys": 1, "seed": 0, "head": 0}
_PRIME = 2**31 - 1


class Pattern(ABC):
    """The set A_k of keys that each query k reads in a sequence of n tokens (Yun et al. 2020)."""

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            if getattr(self, name, least) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")

    @abstractmethod
    def connects(self, query: Tensor, key: Tensor, n: int) -> Tensor:
        """Broadcastable int64 tokens in 0..n-1 -> bool: does `query` read `key`?"""

    @abstractmethod
    def tiles(self, n: int, device: torch.device | None = None) -> list[Tile]:
        """Every connection at exactly one place, and few places that are no connection."""

    def of_head(self, head: int) -> Pattern:
        """This pattern as one head has it: only random keys differ between heads."""
        return self


@dataclass(frozen=True)
class Window(Pattern):
    """Neighbours |i - j| <= width // 2, about `width` in all: STRIDED's first pattern."""

    width: int

    def connects(self, query: Tensor, key: Tensor, n: int) -> Tensor:
        return (query - key).abs() <= self.width // 2

    def tiles(self, n: int, device: torch.device | None = None) -> list[Tile]:
        # keys past one end are taken from the other, where `connects` refuses them
        queries, keys = _ring(n, self.width // 2, device)
        return [Tile(queries, keys, partial(self.connects, n=n))]


@dataclass(frozen=True)
class Residue(Pattern):
    """Every width-th token, j = i (mod width): STRIDED's second pattern."""

    width: int

    def connects(self, query: Tensor, key: Tensor, n: int) -> Tensor:
        return (query - key) % self.width == 0

    def tiles(self, n: int, device: torch.device | None = None) -> list[Tile]:
        tokens = _blocks(n, self.width, device).T
        return [Tile(tokens, tokens)]


@dataclass(frozen=True)
class OwnBlock(Pattern):
    """The block of `width` tokens that a token is in: FIXED's first pattern."""

    width: int

    def connects(self, query: Tensor, key: Tensor, n: int) -> Tensor:
        return query // self.width == key // self.width

    def tiles(self, n: int, device: torch.device | None = None) -> list[Tile]:
        tokens = _blocks(n, self.width, device)
        return [Tile(tokens, tokens)]


@dataclass(frozen=True)
class Columns(Pattern):
    """The last token of every whole block of `width`, and itself: FIXED's second pattern."""

    width: int

    def connects(self, query: Tensor, key: Tensor, n: int) -> Tensor:
        return ((key + 1) % self.width == 0) | (query == key)

    def tiles(self, n: int, device: torch.device | None = None) -> list[Tile]:
        tokens, ends = _blocks(n, n, device), _blocks(n, self.width, device)[:, -1:].T
        columns = torch.where((ends + 1) % self.width == 0, ends, -1)
        others = torch.where((tokens + 1) % self.width == 0, -1, tokens).T
        return [Tile(tokens, columns), Tile(others, others)]


@dataclass(frozen=True)
class Star(Pattern):
    """A relay reads all and is read by all; the others form a ring and read `width` each side.

    The relay is token 0, so that a sequence can grow; the paper's is the last, counted backwards.
    """

    width: int

    def connects(self, query: Tensor, key: Tensor, n: int) -> Tensor:
        apart = (query - key).abs()
        ring = torch.minimum(apart, n - 1 - apart) <= self.width
        return (query == 0) | (key == 0) | ring

    def tiles(self, n: int, device: torch.device | None = None) -> list[Tile]:
        relay = Tile(_blocks(_min(n, 1), 1, device), _blocks(n, n, device))
        queries, keys = _ring(_max(n - 1, 0), self.width, device)
        queries = torch.where(queries < 0, -1, queries + 1)
        keys = torch.where(keys < n - 1, keys + 1, -1)
        keys = torch.cat([torch.zeros_like(keys[:, :1]), keys], dim=1)
        return [relay, Tile(queries, keys, partial(self.connects, n=n))]


@dataclass(frozen=True)
class Random(Pattern):
    """`keys` hashed tokens per query, duplicates dropped, and itself; the same in any framework."""

    keys: int
    seed: int = 0
    head: int = 0

    def connects(self, query: Tensor, key: Tensor, n: int) -> Tensor:
        drawn = (self._drawn(query, draw, n) == key for draw in range(self.keys))
        return reduce(torch.logical_or, drawn, query == key)

    def tiles(self, n: int, device: torch.device | None = None) -> list[Tile]:
        queries = _blocks(n, 1, device)
        drawn = self._drawn(queries, torch.arange(self.keys, device=device), n)
        keys = torch.cat([queries, drawn], dim=1).sort(dim=1).values
        rest = torch.where(keys[:, 1:] == keys[:, :-1], -1, keys[:, 1:])
        return [Tile(queries, torch.cat([keys[:, :1], rest], dim=1))]

    def of_head(self, head: int) -> Pattern:
        return replace(self, head=head)

    def _drawn(self, query: Tensor, draw: Tensor | int, n: int) -> Tensor:
        state = _scramble(_scramble(_scramble(query) + self.seed % _PRIME) + self.head)
        return _scramble(state + draw) % _max(n, 1)


@dataclass(frozen=True)
class Globals(Pattern):
    """The first `count` tokens read and are read by all (BigBird's ITC); all read themselves."""

    count: int

    def connects(self, query: Tensor, key: Tensor, n: int) -> Tensor:
        return (query < self.count) | (key < self.count) | (query == key)

    def tiles(self, n: int, device: torch.device | None = None) -> list[Tile]:
        few, tokens = _blocks(_min(n, self.count), n, device), _blocks(n, n, device)
        others = torch.where(tokens < self.count, -1, tokens)
        return [Tile(few, tokens), Tile(others, few), Tile(others.T, others.T)]


@dataclass(frozen=True)
class Union(Pattern):
    """Reads what any of the patterns reads; a key that several read is in the first one's tile."""

    patterns: tuple[Pattern, ...]

    def __post_init__(self) -> None:
        if not self.patterns:
            raise ValueError("patterns must be at least 1, got 0")

    def connects(self, query: Tensor, key: Tensor, n: int) -> Tensor:
        return reduce(torch.logical_or, (one.connects(query, key, n) for one in self.patterns))

    def tiles(self, n: int, device: torch.device | None = None) -> list[Tile]:
        reads = [partial(one.connects, n=n) for one in self.patterns]
        return [
            replace(tile, unless=(*tile.unless, *reads[:place]))
            for place, one in enumerate(self.patterns)
            for tile in one.tiles(n, device)
        ]

    def of_head(self, head: int) -> Pattern:
        return Union(tuple(one.of_head(head) for one in self.patterns))


# name -> the p patterns that layers take in turn (Yun et al. 2020; BigBird, Zaheer et al. 2020)
PATTERNS: dict[str, Callable[..., tuple[Pattern, ...]]] = {
    "strided": lambda width: (Window(width), Residue(width)),
    "fixed": lambda width: (OwnBlock(width), Columns(width)),
    "star": lambda width: (Star(width),),
    "random": lambda keys, seed=0: (Random(keys, seed),),
    "window_global": lambda width, count: (Union((Window(width), Globals(count))),),
    "bigbird": lambda width, count, keys, seed=0: (
        Union((Window(width), Globals(count), Random(keys, seed))),
    ),
}


def assign(
    patterns: Sequence[Pattern], configuration: Configuration, heads: int, layer: int
) -> list[tuple[Pattern, int]]:
    """The patterns of one layer's heads in order, each with its number of heads (Yun et al. 2020).

    "union": every head reads what any pattern reads; "multihead": the patterns divide the heads
    among them; "sequential": the layers 0, 1, ... take the patterns in turn.
    """
    if configuration == "multihead" and heads < len(patterns):
        raise ValueError(f"heads must be at least {len(patterns)} for multihead, got {heads}")
    if configuration == "union" and len(patterns) > 1:
        patterns = (Union(tuple(patterns)),)
    if configuration == "sequential":
        patterns = (patterns[layer % len(patterns)],)
    each = [patterns[head * len(patterns) // heads].of_head(head) for head in range(heads)]
    return [(pattern, len(list(same))) for pattern, same in groupby(each)]


def _blocks(n: int, size: int, device: torch.device | None) -> Tensor:
    """0..n-1 in rows of `size` (of n where that is less), filled up with -1; at least one place."""
    size = _max(_min(size, n), 1)
    tokens = torch.arange(_max((n + size - 1) // size, 1) * size, device=device).view(-1, size)
    return torch.where(tokens < n, tokens, -1)


def _ring(n: int, reach: int, device: torch.device | None) -> tuple[Tensor, Tensor]:
    """Blocks of queries (G, a), and the keys (G, b <= n) up to `reach` away on a ring of n."""
    # small blocks waste fewer places, too small ones make poor matrix products
    queries = _blocks(n, min(2 * reach + 1, reach + 8), device)
    width = _max(_min(queries.shape[1] + 2 * reach, n), 1)
    keys = queries[:, :1] - reach + torch.arange(width, device=device)
    return queries, keys % _max(n, 1)


def _scramble(state: Tensor) -> Tensor:
    """(state + c)^5: permutes 0..prime-1, as 5 does not divide prime - 1; no product over 2^62."""
    base = (state + 1_234_567_891) % _PRIME
    square = base * base % _PRIME
    return square * square % _PRIME * base % _PRIME
