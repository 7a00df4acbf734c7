"""What was sent on a connection and is not taken: who takes nothing for long loses it."""

from __future__ import annotations

import asyncio


class Unread:
    """Looks whether less is left; knows nothing of what it is. seconds: from look to look."""

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, seconds: float
    ) -> None:
        self._transport, self._loop, self._seconds = transport, loop, seconds
        self._before = 0
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """From now on, until nothing is left or it is told to stop."""
        if self._timer is None:
            self._before = self._transport.get_write_buffer_size()
            self._timer = self._loop.call_later(self._seconds, self._look)

    def stop(self) -> None:
        """The client reads, or is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer, left = None, self._transport.get_write_buffer_size()
        if left >= self._before:
            self._transport.abort()
        elif left:
            self.watch()
