"""The CPUs at work on one step: its slices side by side, and what they find in order.

Each graph has one thread and knows nothing of the others. Threads that share every operation of a
graph wait for each other at its end, and where they have to share the CPUs with anything else, as
a server's do, they mostly wait (benchmarks/README.md).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from service.pack import BLOCK

LEAST = 256  # tokens of a slice that is worth a thread of its own

X = TypeVar("X")
Y = TypeVar("Y")


class Workers:
    """So many threads."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._threads = ThreadPoolExecutor(count, "slice") if count > 1 else None

    def map(self, work: Callable[[X], Y], items: Iterable[X]) -> Iterator[Y]:
        """What ``work`` makes of each item, in order. A few are begun before they are asked for."""
        if self._threads is None:
            yield from map(work, items)
            return
        begun: deque[Future[Y]] = deque()
        for item in items:
            begun.append(self._threads.submit(work, item))
            if len(begun) > self.count:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()

    def slice_tokens(self, tokens: int, most: int) -> int:
        """The size of slices of so many tokens in all, that every worker may have as much to do."""
        slices = -(-max(1, tokens) // most)
        even = -(-tokens // (-(-slices // self.count) * self.count))
        return min(most, max(LEAST, -(-even // BLOCK) * BLOCK))
