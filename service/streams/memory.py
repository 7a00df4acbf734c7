"""What streams hold of the memory that all requests share.

So much is set aside for each when it begins, which is enough where lines and batches are small.
What it holds above that is counted as well, and large ones are read on while there is room.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from service.body import Held
from service.errors import QueueFull
from service.streams.spool import MEMORY_BYTES

RESERVED_BYTES = 2 * MEMORY_BYTES  # for what it keeps, and for what is on its way
SMALL_BYTES = RESERVED_BYTES // 4  # of a line or batch that has not come whole: is not held up


class Memory:
    """Of one stream. QueueFull where it cannot begin."""

    def __init__(self, held: Held, large: list[Memory], seconds: float) -> None:
        """large: who is amid a large line or batch, the first first; seconds: longest wait."""
        self._held, self._large, self._seconds = held, large, seconds
        held.take(RESERVED_BYTES)

    def holds(self, count: int) -> None:
        """So many bytes from now on. They are there already, so nobody is asked."""
        self._held.hold(max(RESERVED_BYTES, count))

    async def room(self, unread: int) -> None:
        """Wait, before more is taken in, while that would be at others' expense.

        unread: bytes of what has not come whole. QueueFull where there is no room for long.
        """
        if unread <= SMALL_BYTES:
            self._leave()
            return
        if self not in self._large:
            self._large.append(self)
        if not self._enough():
            await self._wait()

    @contextmanager
    def taking_in(self) -> Iterator[None]:
        """While it is: past its end nobody waits for this stream any more."""
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        if self in self._large:
            self._large.remove(self)
            self._held.bodies.wake()

    async def _wait(self) -> None:
        held, seconds = self._held, self._seconds
        try:
            async with asyncio.timeout(seconds):
                while not self._enough():
                    await held.bodies.freed()
        except TimeoutError as error:
            raise QueueFull(
                f"requests in flight hold {held.others} bytes besides the {held.bytes} of this "
                f"stream, which found no room for more within {seconds:g} seconds",
                reason="memory",
            ) from error

    def _enough(self) -> bool:
        """Half of all is left to predictions and to streams that begin.

        The first goes on regardless: else all might wait for each other, each with half a line.
        """
        held = self._held
        return self._large[0] is self or held.bodies.in_flight <= held.most // 2
