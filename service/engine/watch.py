"""Watches how long what runs has been running: in a thread, as it may be the event loop that runs
it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from service.engine.runner import Running

LOOKS = 10  # in the time that anything may take

log = logging.getLogger("sumserve.engine")


class Watch:
    """Tells of what runs for longer than allowed: once, and again if it goes on."""

    def __init__(
        self,
        seconds: float,
        running: Callable[[], Running | None],
        late: Callable[[Running, int], None],
    ) -> None:
        """late: is called in the watch's thread, with what runs and how many times it has been too
        long already.
        """
        self._seconds, self._running, self._late = seconds, running, late
        self._closed = threading.Event()
        threading.Thread(target=self._look, name="watch", daemon=True).start()

    def close(self) -> None:
        """Watch no more."""
        self._closed.set()

    def _look(self) -> None:
        """Again and again; to be told of every step would cost more than they do."""
        known, told = self._running(), 0
        while not self._closed.wait(self._seconds / LOOKS):
            running = self._running()
            if running is not known:
                known, told = running, 0
            if running and time.monotonic() - running.since >= self._seconds * (told + 1):
                told += 1
                self._tell(running, told)

    def _tell(self, running: Running, times: int) -> None:
        try:
            self._late(running, times)
        except Exception:  # whatever it is, what runs after this is watched, too
            log.exception("what takes too long could not be stopped")
