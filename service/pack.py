"""A pack: sequences of unequal length laid end to end, and its cut into slices and blocks.

A block is up to BLOCK consecutive tokens of one sequence, counted from the sequence's start; a
slice is a run of whole blocks. Sums are taken per block inside a graph and folded over blocks
outside it, so a sequence's sums never depend on its neighbours, nor on where slices are cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
BLOCK = 16  # tokens whose sum is taken inside a graph
SLICE_TOKENS = 1024  # tokens in one call of a graph: what the second-level cache holds


@dataclass(frozen=True)
class Pack:
    """columns: name -> (T, width) or (T,) tokens; lengths: (N,) int64 that add up to T;
    context: name -> (N, width) or (N,).
    """

    columns: dict[str, Array]
    lengths: Array
    context: dict[str, Array] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, sequences: Sequence[Array]) -> Pack:
        """Lay the sequences of one column, each (n, width) or (n,), end to end."""
        lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
        return cls({name: np.concatenate(sequences)}, lengths)

    @classmethod
    def join(cls, packs: Sequence[Pack]) -> Pack:
        """Packs of the same columns, one after the other; a single one is not copied."""
        if len(packs) == 1:
            return packs[0]
        return cls(
            {n: np.concatenate([p.columns[n] for p in packs]) for n in packs[0].columns},
            np.concatenate([p.lengths for p in packs]),
            {n: np.concatenate([p.context[n] for p in packs]) for n in packs[0].context},
        )

    @cached_property
    def tokens(self) -> int:
        """T, the number of tokens in all."""
        return int(self.lengths.sum())

    @property
    def starts(self) -> Array:
        """(N,) index of each sequence's first token."""
        return np.asarray(np.cumsum(self.lengths) - self.lengths)

    def first(self, name: str) -> Array:
        """(N, ...) what each sequence's first token has in a column; 0 where there is none."""
        values, some = self.columns[name], self.lengths > 0
        found = np.zeros((len(self.lengths), *values.shape[1:]), values.dtype)
        found[some] = values[self.starts[some]]
        return found

    def split(self, per_token: Array) -> list[Array]:
        """(T, width) -> one (n, width) view per sequence."""
        return runs(per_token, self.lengths.tolist())

    def per_sequence(self, rows: Array, per: Literal["token", "sequence"]) -> list[Array]:
        """Rows per token or per sequence -> one array per sequence."""
        return self.split(rows) if per == "token" else list(rows)

    def part(self, first: int, last: int) -> Pack:
        """Sequences ``first..last`` (last excluded), as views."""
        if (first, last) == (0, len(self.lengths)):
            return self
        start = int(self.lengths[:first].sum())
        tokens = slice(start, start + int(self.lengths[first:last].sum()))
        columns = {name: values[tokens] for name, values in self.columns.items()}
        context = {name: values[first:last] for name, values in self.context.items()}
        return Pack(columns, self.lengths[first:last], context)

    def take(self, chosen: Array) -> Pack:
        """The chosen sequences (M,), in that order, as a pack of their own."""
        tokens = np.concatenate([np.arange(0)] + [self.range(i) for i in chosen])
        columns = {name: values[tokens] for name, values in self.columns.items()}
        context = {name: values[chosen] for name, values in self.context.items()}
        return Pack(columns, self.lengths[chosen], context)

    def range(self, sequence: int) -> Array:
        """(n,) the tokens of one sequence."""
        return np.arange(self.lengths[sequence]) + int(self.starts[sequence])


@dataclass(frozen=True)
class Slice:
    """A run of whole blocks: what one call of a stage works on. T tokens, N sequences, B blocks.

    tokens, sequences: ranges of the pack; starts: (B,) first token of each block in the slice,
    within: (B,) the same in its sequence, lengths: (B,) its tokens, block: (B,) its sequence,
    counted from the slice's first. What graphs read is derived when one asks for it.
    The last block is empty: with a single block, sums would take another path through the kernel.
    """

    tokens: slice
    sequences: slice
    starts: Array
    within: Array
    lengths: Array
    block: Array

    @property
    def sizes(self) -> Array:
        """(B, 1) float32: tokens in each block."""
        return self.lengths[:, None].astype(np.float32)

    @property
    def rows(self) -> Array:
        """(B, BLOCK): tokens of each block, T where there is none."""
        places, total = np.arange(BLOCK), self.tokens.stop - self.tokens.start
        return np.where(places < self.lengths[:, None], self.starts[:, None] + places, total)

    @property
    def owner(self) -> Array:
        """(T,): each token's sequence, counted from the slice's first."""
        return np.repeat(self.block, self.lengths)

    @property
    def position(self) -> Array:
        """(T,): each token's place in its own sequence."""
        return np.repeat(self.within, self.lengths) + self._inside

    @property
    def places(self) -> Array:
        """(T,): where each token lies among the rows of all blocks."""
        return np.repeat(np.arange(len(self.block)) * BLOCK, self.lengths) + self._inside

    @cached_property
    def _inside(self) -> Array:
        tokens = np.arange(self.tokens.stop - self.tokens.start)
        return np.asarray(tokens - np.repeat(self.starts, self.lengths))


@dataclass(frozen=True, slots=True)
class Blocks:
    """The blocks of a pack, in its order, (B,) each: first token in the pack and in its sequence,
    size in tokens, and owning sequence.
    """

    starts: Array
    within: Array
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
        return cls(
            offsets[owner] + within, within, np.minimum(BLOCK, lengths[owner] - within), owner
        )

    def slices(self, most_tokens: int) -> Iterable[Slice]:
        """Runs of blocks with at most ``most_tokens`` tokens (never less than one block)."""
        ends, first = self.starts + self.sizes, 0
        while first < len(ends):
            reach = self.starts[first] + most_tokens
            last = max(first + 1, int(np.searchsorted(ends, reach, side="right")))
            yield self._slice(first, last)
            first = last

    def _slice(self, first: int, last: int) -> Slice:
        starts, within, sizes, owner = (
            a[first:last] for a in (self.starts, self.within, self.sizes, self.owner)
        )
        begin, end = int(starts[0]), int(starts[-1] + sizes[-1])
        return Slice(
            tokens=slice(begin, end),
            sequences=slice(int(owner[0]), int(owner[-1]) + 1),
            starts=np.append(starts - begin, end - begin),
            within=np.append(within, 0),
            lengths=np.append(sizes, 0),
            block=np.append(owner - owner[0], 0),
        )


def runs(rows: Array, sizes: Sequence[int]) -> list[Array]:
    """(R, ...) in runs of these sizes, as views; what numpy's split takes ten times as long for."""
    return [rows[end - size : end] for size, end in zip(sizes, accumulate(sizes), strict=True)]
