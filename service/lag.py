"""How late the event loop is: whatever holds it up, a step or a mistake, holds up everybody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

SECONDS = 0.25  # between looks: often enough to see what is felt, too seldom to be felt itself


class Lag:
    """Is to be called at certain times, and tells by how much each call is late."""

    def __init__(
        self,
        late: Callable[[float], object],
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """late: is given the seconds. clock: that of loops may count milliseconds only."""
        self._late, self._seconds, self._clock = late, seconds, clock
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """On the loop that runs."""
        self._due = self._clock() + self._seconds
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer:
            self._timer.cancel()

    def _look(self) -> None:
        self._late(max(0.0, self._clock() - self._due))
        self.start()
