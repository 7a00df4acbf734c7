"""A worker as a process: how its supervisor sees it, and what it does before it serves."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path

from service import listening, logs
from service.errors import SumserveError
from service.keys import Entry
from service.settings import Settings
from service.signals import Caught

SPAWN = multiprocessing.get_context("spawn")  # threads and forks do not go together

log = logging.getLogger("sumserve.worker")


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker is given: its number, its sockets, the folder where workers meet, and the keys
    as they were when the server started: all workers know the same.
    """

    settings: Settings
    index: int
    sockets: Sequence[socket.socket]
    folder: Path
    keys: Mapping[str, Entry] | None


Ready = Callable[[], None]
Work = Callable[[Place, Ready], None]  # calls Ready once it serves; returns when it is over


class Child:
    """A worker's process. It says when it is ready, or why it cannot be."""

    def __init__(self, work: Work, place: Place) -> None:
        """Start it."""
        self.index, self._sockets = place.index, place.sockets
        self.ready_at: float | None = None
        self.error: Exception | None = None
        self._words, says = SPAWN.Pipe(duplex=False)
        self.process = SPAWN.Process(target=_live, args=(work, place, says), name="worker")
        with says, _deaf():
            self.process.start()

    def events(self) -> list[int | Connection]:
        """What to wait for: its end, and its words."""
        return [self.process.sentinel] + ([] if self._words.closed else [self._words])

    def hear(self) -> None:
        """Take in what it has said so far."""
        while not self._words.closed and self._words.poll():
            try:
                self.error = self._words.recv()
            except EOFError:
                self._words.close()
            else:
                self.ready_at = self.ready_at if self.error else time.monotonic()

    def ended(self) -> bool:
        """Whether the process is over; waits for the last of it."""
        if wait([self.process.sentinel], 0):
            self.process.join()
        return self.process.exitcode is not None

    def tell(self, sig: signal.Signals) -> None:
        """Send it a signal."""
        if self.process.pid and self.process.exitcode is None:
            os.kill(self.process.pid, sig)

    def leave(self) -> None:
        """It has ended: connections are for the others, until the next one in its place listens."""
        listening.leave(self._sockets)

    def served(self, seconds: float) -> bool:
        """Whether it has been ready for so long."""
        return self.ready_at is not None and time.monotonic() - self.ready_at >= seconds

    def went(self) -> bool:
        """Whether it ended as it was told to, while it loaded or when it had drained."""
        return self.process.exitcode in (0, *(-kind for kind in Caught.KINDS))

    def end(self) -> str:
        """How it ended, in words."""
        code = self.process.exitcode or 0
        if self.error:
            return str(self.error)
        return f"{signal.strsignal(-code)}: signal {-code}" if code < 0 else f"exit code {code}"


@contextmanager
def _deaf() -> Iterator[None]:
    """A process started now hears no Ctrl-C until it listens: Python would print a traceback."""
    resource_tracker.ensure_running()  # to start it in there would end the silence
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _live(work: Work, place: Place, says: Connection) -> None:
    """In the worker's process: all of it."""
    for kind in Caught.KINDS:  # nothing is lost yet; a server that serves has its own handlers
        signal.signal(kind, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    logs.configure(place.settings.log_level, place.index)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_outlive, args=(parent.sentinel, place), daemon=True).start()
    try:
        work(place, partial(says.send, None))
    except (SumserveError, OSError, ModuleNotFoundError) as error:  # those with a line of their own
        with suppress(BrokenPipeError):
            says.send(error)
        sys.exit(1)


def _outlive(parent: int, place: Place) -> None:
    """When the parent has ended without a word, the worker finishes what it has and ends too."""
    wait([parent])
    shutil.rmtree(place.folder, ignore_errors=True)  # nobody else is left to do it
    log.error("the parent process has ended: leaving")
    os.kill(os.getpid(), signal.SIGINT)  # its port is free at once, for a server after this one
