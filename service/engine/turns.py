"""When steps are handed out: once the event loop has taken in whatever is there to be read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

MOST = 64  # turns that new connections can put it off by


class Turns:
    """Calls something in another turn of the loop.

    uvloop takes in one new connection a turn (libuv: it looks for others first). Where a step runs
    on the loop between two turns, a crowd of clients would stand at the door for as many steps, and
    a balancer's check among them; so as long as somebody comes in, the next turn is for the others.
    """

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._due, self._connected, self._left = False, False, 0

    def soon(self) -> None:
        """Call it once, however often this is said."""
        if not self._due:
            self._due, self._connected, self._left = True, False, MOST
            asyncio.get_running_loop().call_soon(self._turn)

    def connected(self) -> None:
        """Somebody has come in: others may stand behind."""
        self._connected = True

    def _turn(self) -> None:
        if self._connected and self._left:
            self._connected, self._left = False, self._left - 1
            asyncio.get_running_loop().call_soon(self._turn)
        else:
            self._due = False
            self._call()
