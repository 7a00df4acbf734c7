"""uvicorn's HTTP protocol with what it has no limits for: heads, and the number of chunks."""

from __future__ import annotations

import asyncio

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

CHUNKS = "sumserve.chunks"  # in a request's state: how many chunks of its body have come
MOST_HEAD_BYTES = 2**16
HEAD_SECONDS = 60.0


class Protocol(HttpToolsProtocol):
    """A connection. What it cannot read as HTTP it answers as JSON, and closes."""

    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A head must come, whole, within its time."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Refuse a head that does not end."""
        super().data_received(data)
        if self._head_timer is None or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > MOST_HEAD_BYTES:
            limit = f"the limit of {MOST_HEAD_BYTES} bytes"
            self._refuse(b"431 Request Header Fields Too Large", f"headers are larger than {limit}")

    def on_message_begin(self) -> None:
        """A request begins: its head is awaited, its chunks are counted."""
        super().on_message_begin()
        self.scope["state"][CHUNKS] = 0
        if self._head_timer is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """The head has come."""
        self._stop_waiting()
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        """One more chunk of a body without a length."""
        self.scope["state"][CHUNKS] += 1

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP."""
        self._refuse(b"400 Bad Request", "this is not a valid HTTP request")

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if self.transport is not None and not self.transport.is_closing():
            message = f"the headers did not arrive within {HEAD_SECONDS:g} seconds"
            self._refuse(b"408 Request Timeout", message)

    def _refuse(self, status: bytes, message: str) -> None:
        self._stop_waiting()
        body = orjson.dumps({"error": message})
        head = (
            b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
            b"Connection: close\r\n\r\n"
        )
        self.transport.write(head % (status, len(body)) + body)
        self.transport.close()
