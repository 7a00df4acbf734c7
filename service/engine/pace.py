"""How much longer work takes than its steps: between two of them the loop does everything else."""

from __future__ import annotations

LATELY = 32  # steps, by which it is told
MOST = 8.0  # times as long


class Pace:
    """Learned from steps that follow upon one another, as there is work for the next."""

    def __init__(self) -> None:
        self.slowness = 1.0  # from step to step, in the time of a step
        self._ended: float | None = None  # the last step, if others waited behind it

    def ran(self, started: float, seconds: float, more: bool) -> None:
        """A step has. more: whether others wait."""
        if self._ended is not None and seconds > 0:
            found = min(MOST, max(1.0, (started + seconds - self._ended) / seconds))
            self.slowness += (found - self.slowness) / LATELY
        self._ended = started + seconds if more else None
