"""A pack: sequences of unequal length laid end to end, and its cut into slices and blocks.

A block is up to BLOCK consecutive tokens of one sequence, counted from the sequence's start; a
slice is a run of whole blocks. Sums are taken per block inside a graph and folded over blocks
outside it, so a sequence's sums never depend on its neighbours, nor on where slices are cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
BLOCK = 16  # tokens whose sum is taken inside a graph
SLICE_TOKENS = 1024  # tokens in one call of a graph: what the second-level cache holds


@dataclass(frozen=True, slots=True)
class Pack:
    """columns: name -> (T, width) or (T,) tokens; lengths: (N,) int64 that add up to T."""

    columns: dict[str, Array]
    lengths: Array

    @classmethod
    def of(cls, name: str, sequences: Sequence[Array]) -> Pack:
        """Lay the sequences of one column, each (n, width) or (n,), end to end."""
        lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
        return cls({name: np.concatenate(sequences)}, lengths)

    @property
    def tokens(self) -> int:
        """T, the number of tokens in all."""
        return int(self.lengths.sum())

    def split(self, per_token: Array) -> list[Array]:
        """(T, width) -> one (n, width) view per sequence."""
        return np.split(per_token, np.cumsum(self.lengths)[:-1])

    def per_sequence(self, rows: Array, per: Literal["token", "sequence"]) -> list[Array]:
        """Rows per token or per sequence -> one array per sequence."""
        return self.split(rows) if per == "token" else list(rows)


@dataclass(frozen=True, slots=True)
class Slice:
    """A run of whole blocks: what one call of a stage works on.

    tokens, sequences: ranges of the pack; rows: (B, BLOCK) token indices within the slice, where
    the index one past the last token stands for nothing; sizes: (B, 1) tokens in each block;
    owner: (T,) index of each token's sequence within the slice's sequences.
    The last block is empty: with a single block, sums would take another path through the kernel.
    """

    tokens: slice
    sequences: slice
    rows: Array
    sizes: Array
    owner: Array


@dataclass(frozen=True, slots=True)
class Blocks:
    """The blocks of a pack, in its order: start and size in tokens, and owning sequence, (B,)."""

    starts: Array
    sizes: Array
    owner: Array

    @classmethod
    def of(cls, lengths: Array) -> Blocks:
        """Cut sequences of these lengths (N,); an empty sequence has no block."""
        per_sequence = -(-lengths // BLOCK)
        owner = np.repeat(np.arange(len(lengths)), per_sequence)
        first = np.cumsum(per_sequence) - per_sequence
        within = (np.arange(len(owner)) - first[owner]) * BLOCK
        offsets = np.cumsum(lengths) - lengths
        return cls(offsets[owner] + within, np.minimum(BLOCK, lengths[owner] - within), owner)

    def slices(self, most_tokens: int) -> Iterable[Slice]:
        """Runs of blocks with at most ``most_tokens`` tokens (never less than one block)."""
        ends, first = self.starts + self.sizes, 0
        while first < len(ends):
            reach = self.starts[first] + most_tokens
            last = max(first + 1, int(np.searchsorted(ends, reach, side="right")))
            yield self._slice(first, last)
            first = last

    def _slice(self, first: int, last: int) -> Slice:
        starts, sizes, owner = (a[first:last] for a in (self.starts, self.sizes, self.owner))
        begin, end = int(starts[0]), int(starts[-1] + sizes[-1])
        rows = (starts - begin)[:, None] + np.arange(BLOCK)
        rows[np.arange(BLOCK) >= sizes[:, None]] = end - begin
        return Slice(
            tokens=slice(begin, end),
            sequences=slice(int(owner[0]), int(owner[-1]) + 1),
            rows=np.concatenate([rows, np.full((1, BLOCK), end - begin)]),
            sizes=np.append(sizes, 0).astype(np.float32)[:, None],
            owner=np.repeat(owner - owner[0], sizes),
        )

    def fold(self, contributions: Array, sequences: int) -> Array:
        """Add block sums (B, k) up per sequence, left to right in float64 -> (sequences, k)."""
        total = np.zeros((sequences, contributions.shape[1]))
        if len(self.owner):
            first = np.flatnonzero(np.diff(self.owner, prepend=-1))
            total[self.owner[first]] = np.add.reduceat(contributions, first, 0, np.float64)
        return total
