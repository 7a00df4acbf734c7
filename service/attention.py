"""Running attention that needs all keys of a sequence: by sequences of like length.

How a sequence is padded and cut depends on its own length alone, so that its neighbours change
nothing, not even in the last bit. Wherever graphs run, it is gathered and put back on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from service.buckets import padded_lengths
from service.graph import Graph, host
from service.manifest import AttentionStage
from service.names import NEXT
from service.pack import BLOCK, Array
from service.places import Places
from service.stages import Progress

SCORES = 2**22  # scores in one call of the graph, unless one sequence has more


class AttentionRunner:
    """Queries, keys and values of all tokens -> what every token reads."""

    def __init__(self, stage: AttentionStage, graph: Graph, places: Places | None = None) -> None:
        """places: counts those that it runs on."""
        self._stage, self._graph, self._places = stage, graph, places or Places()

    def advance(self, progress: Progress) -> Iterator[int]:
        """Attend within every sequence."""
        query, key, value = (
            np.concatenate(
                [host(tokens[name]) for tokens in progress.tokens] or [np.zeros((0, 1, 1))]
            )
            for name in ("query", "key", "value")
        )
        read = np.zeros_like(value)
        for rows, lengths in self._buckets(progress.lengths):
            self._places.count(rows.size, int(lengths.sum()))
            yield from self._attend(read, [query, key, value], rows, lengths)
        for tokens, part in zip(progress.tokens, progress.slices, strict=True):
            for name in ("query", "key", "value"):
                del tokens[name]
            tokens["read"] = read[part.tokens]

    def _attend(
        self, read: Array, projected: list[Array], rows: Array, lengths: Array
    ) -> Iterator[int]:
        """Sequences in rows (B, n) of tokens, T where there is none."""
        query, key, value = (_gather(values, rows) for values in projected)
        for part in self._cuts(rows.shape[1]):
            feeds = {"query": query[:, part], "key": key, "value": value, "length": lengths}
            found, places = host(self._graph.run(feeds)[NEXT + "read"]), rows[:, part]
            there = places < len(read)
            read[places[there]] = found[there]
            yield int(there.sum())

    def _buckets(self, lengths: Array) -> Iterator[tuple[Array, Array]]:
        """rows (B, n) and lengths (B,) of sequences with one padded length n."""
        starts = np.cumsum(lengths) - lengths
        padded = lengths if self._stage.unpadded else padded_lengths(lengths)
        for n in np.unique(padded[lengths > 0]):
            chosen = np.flatnonzero((padded == n) & (lengths > 0))
            for some in np.array_split(chosen, -(-len(chosen) // self._together(int(n)))):
                places = np.arange(n)
                inside = places < lengths[some, None]
                yield np.where(inside, starts[some, None] + places, lengths.sum()), lengths[some]

    def _together(self, n: int) -> int:
        """How many sequences of n places go into one call."""
        return max(1, SCORES // (self._stage.heads * n * (self._stage.places or n)))

    def _cuts(self, n: int) -> list[slice]:
        """Runs of queries that go into one call with all their keys."""
        if self._stage.unpadded:
            return [slice(0, n)]
        most = max(BLOCK, SCORES // (self._stage.heads * n) // BLOCK * BLOCK)
        return [slice(begin, begin + most) for begin in range(0, n, most)]


def _gather(values: Array, rows: Array) -> Array:
    """values (T, H, w) -> (B, n, H, w), zero where there is no token."""
    return np.concatenate([values, np.zeros_like(values[:1])])[rows]
