"""A transport that sends in one go what is written together.

uvicorn writes an answer's head and its body one after the other: two calls to the system, two
packets, and a reader that wakes up twice.
"""

from __future__ import annotations

import asyncio
from typing import Any


class Gathering:
    """Around a transport, which does all the rest."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._written: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send it when told to, or on the loop's next turn."""
        if not self._written:
            self._loop.call_soon(self.send)
        self._written.append(data)

    def send(self) -> None:
        """Now."""
        if self._written:
            self._transport.writelines(self._written)
            self._written = []

    def close(self) -> None:
        """Once all is sent."""
        self.send()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
