"""Watches how long the step that runs has been running: in a thread, as it may be the event loop
that runs it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from service.engine.job import Step

LOOKS = 10  # in the time that a step may take


class Watch:
    """Tells of a step that runs for longer than allowed: once, and again if it goes on."""

    def __init__(self, seconds: float, late: Callable[[Step, int], None]) -> None:
        """late: is called in the watch's thread, with the step and how many times it has been too
        long already.
        """
        self._seconds, self._late = seconds, late
        self._running: tuple[Step, float] | None = None  # and since when
        self._closed = threading.Event()
        threading.Thread(target=self._look, name="watch", daemon=True).start()

    def follow(self, step: Step | None) -> None:
        """This one runs now, or none."""
        running = self._running
        if step is not (running and running[0]):
            self._running = (step, time.monotonic()) if step else None

    def close(self) -> None:
        """Watch no more."""
        self._closed.set()

    def _look(self) -> None:
        """Again and again; a lock for every step would cost more than they do."""
        known, told = self._running, 0
        while not self._closed.wait(self._seconds / LOOKS):
            running = self._running
            if running is not known:
                known, told = running, 0
            if running and time.monotonic() - running[1] >= self._seconds * (told + 1):
                told += 1
                self._late(running[0], told)
