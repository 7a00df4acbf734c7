"""A transport that sends in one go what is written together.

uvicorn writes an answer's head and its body one after the other: two calls to the system, two
packets, and a reader that wakes up twice.
"""

from __future__ import annotations

import asyncio
from typing import Any

MUCH = 2**14  # bytes: what another call costs is nothing beside them


class Gathering:
    """Around a transport, which does all the rest."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._written: list[bytes] = []
        self._bytes = 0

    def write(self, data: bytes) -> None:
        """Send it when told to, when it is much, or on the loop's next turn."""
        if not self._written:
            self._loop.call_soon(self.send)
        self._written.append(data)
        self._bytes += len(data)
        if self._bytes > MUCH:  # so that the transport says when a client does not read
            self.send()

    def send(self) -> None:
        """Now."""
        if self._written:
            self._transport.writelines(self._written)
            self._written, self._bytes = [], 0

    def close(self) -> None:
        """Once all is sent."""
        self.send()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
