"""What only a few may do at a time. Who leaves, or waits for too long, is let go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Scope

from service.errors import ClientGone, QueueFull
from service.protocol import leaving


class Few:
    """So many at a time. seconds: that one waits; what: it is about, in words."""

    def __init__(self, count: int, seconds: float, what: str) -> None:
        self._free, self._seconds, self._what = asyncio.Semaphore(count), seconds, what

    @asynccontextmanager
    async def turn(self, scope: Scope) -> AsyncIterator[None]:
        """While it is this request's turn. Raises QueueFull and ClientGone."""
        try:
            with leaving(scope) as left:
                async with asyncio.timeout(self._seconds):
                    await self._free.acquire()
        except TimeoutError as error:
            raise QueueFull(f"{self._what} of others are being read", reason="memory") from error
        except asyncio.CancelledError as error:
            if not left.set:
                raise
            raise ClientGone(f"the client left before its turn: {self._what}") from error
        try:
            yield
        finally:
            self._free.release()
