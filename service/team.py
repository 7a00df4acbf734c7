"""The threads at work on one step: its slices side by side, and what they find in order.

Each graph has one thread and knows nothing of the others. Threads that share every operation of a
graph wait for each other at its end, and where they have to share the CPUs with anything else, as
a server's do, they mostly wait (benchmarks/README.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

from service.cpus import available_cpus
from service.pack import BLOCK

LEAST = 256  # tokens of a slice that is worth a thread of its own

X = TypeVar("X")
Y = TypeVar("Y")


class Team:
    """So many threads in all, that of the caller among them."""

    def __init__(self, count: int) -> None:
        self._own, self._most = count, max(count, available_cpus())
        self._helpers = ThreadPoolExecutor(self._most, "slice")
        self.spare: Callable[[], int] = lambda: 0  # threads that others do not need just now

    @property
    def count(self) -> int:
        """How many threads there are at present."""
        return min(self._own + self.spare(), self._most)

    def map(self, work: Callable[[X], Y], items: Iterable[X]) -> Iterator[Y]:
        """What ``work`` makes of each item, in order; as many at a time as there are threads."""
        remaining = iter(items)
        while some := list(islice(remaining, self.count)):
            helped = [self._helpers.submit(work, item) for item in some[1:]]
            try:
                yield work(some[0])
                for future in helped:
                    yield future.result()
            finally:
                wait(helped)  # nothing of a run that has failed goes on beside the next one

    def slice_tokens(self, tokens: int, most: int) -> int:
        """The size of slices of so many tokens in all, that every thread may have as much to do."""
        slices, count = -(-max(1, tokens) // most), self.count
        even = -(-tokens // (-(-slices // count) * count))
        return min(most, max(LEAST, -(-even // BLOCK) * BLOCK))
