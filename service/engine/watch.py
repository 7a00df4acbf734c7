"""Watches how long the step that runs has been running."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from service.engine.job import Step


class Watch:
    """Tells of a step that runs for longer than allowed: once, and again if it goes on."""

    def __init__(self, seconds: float, late: Callable[[Step, int], None]) -> None:
        """late: the step, and how many times it has been too long already."""
        self._seconds, self._late = seconds, late
        self._step: Step | None = None
        self._timer: asyncio.TimerHandle | None = None

    def follow(self, step: Step | None) -> None:
        """This one runs now, or none."""
        if step is self._step:
            return
        if self._timer:
            self._timer.cancel()
        self._step = step
        self._timer = self._again(1) if step else None

    def _again(self, times: int) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._seconds, self._ring, times)

    def _ring(self, times: int) -> None:
        assert self._step is not None
        self._timer = self._again(times + 1)
        self._late(self._step, times)
