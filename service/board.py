"""Which workers of a server have something to do: the CPUs of those that have not are for the rest.

A lone request is answered as fast as all CPUs can; where every worker has its hands full, each
keeps to its own share, as threads that have to wait for each other's CPU only cost time.
"""

from __future__ import annotations

import mmap
from pathlib import Path

from service.cpus import available_cpus
from service.engine.observer import Observer
from service.settings import Settings


def share(settings: Settings) -> int:
    """Threads of each worker, whatever the others do."""
    return settings.threads or max(1, available_cpus() // settings.workers)


class Board(Observer):
    """A byte for each worker, in a file that they share."""

    def __init__(self, path: Path, index: int, count: int, share: int) -> None:
        """index: this worker's own, of so many; share: threads of each."""
        with path.open("a+b") as file:
            file.truncate(count)
            self._bytes = mmap.mmap(file.fileno(), count)
        self._index, self._share = index, share
        self.busy(False)  # whoever had the place before may have been killed at work

    def busy(self, now: bool) -> None:
        """Whether this worker has something to do."""
        self._bytes[self._index] = now

    def spare(self) -> int:
        """Threads of the others that would have nothing to do."""
        others = self._bytes[: self._index] + self._bytes[self._index + 1 :]
        return others.count(0) * self._share
