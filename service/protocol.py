"""uvicorn's HTTP protocol, and what it lacks: limits on heads, trailers and the number of chunks; a
word to whoever answers a request when its client leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.errors import ClientGone
from service.gathering import Gathering
from service.unread import Unread

CHUNKS = "sumserve.chunks"  # in a request's state: how many chunks of its body have come
WHOLE = "sumserve.whole"  # in a request's state: that all of its body has come
LEFT = "sumserve.left"  # in a request's state: what to call when its client has left
GONE = "sumserve.gone"  # in a request's state: that it has
CUT = "sumserve.cut"  # in a request's state: closes its connection; True: without what is unsent
REFUSED = "sumserve.refused"  # in a server's state: counts what is answered before it is a request
PATIENCE = "sumserve.patience"  # in a server's state: seconds in which a client must read on
CONNECTED = "sumserve.connected"  # in a server's state: is told of every connection
MOST_HEAD_BYTES = 2**16  # of headers, and of trailers
BODY_SECONDS = 60.0  # where nobody says how long a client may read nothing
READ_SECONDS = 1.0  # until it is looked again whether an answer has been read
HEAD_SECONDS = 80.0  # above what balancers keep idle connections for


@dataclass(slots=True)
class Left:
    """Whether the client has."""

    set: bool = False


@contextmanager
def leaving(scope: Scope) -> Iterator[Left]:
    """Cancel the current task, and say so, when the request's client leaves meanwhile.

    Raises ClientGone when it has left before.
    """
    task, left = asyncio.current_task(), Left()
    assert task is not None

    def leave() -> None:
        left.set = True
        task.cancel()

    state = scope.setdefault("state", {})
    if state.get(GONE):
        raise ClientGone("the client left before its request was run")
    state[LEFT] = leave
    try:
        yield left
    finally:
        state.pop(LEFT, None)
        if left.set:
            task.uncancel()


def leave(state: dict[str, Any]) -> None:
    """The client of the request with that state has left: whoever answers it is told."""
    state[GONE] = True
    if LEFT in state:
        state[LEFT]()


class Protocol(HttpToolsProtocol):
    """A connection. What it cannot read as HTTP it answers as JSON, and closes."""

    _in_head = True
    _silent_bytes = 0  # that came since the last piece of a body, or the last whole head
    _header_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A head must come, whole, within its time."""
        self._gathering = Gathering(transport, self.loop)
        seconds = self.app_state.get(PATIENCE, BODY_SECONDS)
        self._unread = Unread(transport, self.loop, seconds)
        super().connection_made(self._gathering)  # type: ignore[arg-type]
        if CONNECTED in self.app_state:
            self.app_state[CONNECTED]()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more, and nobody waits for an answer."""
        self._stop_waiting()
        self._unread.stop()
        super().connection_lost(exc)
        if self.cycle is not None and not self.cycle.response_complete:
            leave(self.cycle.scope["state"])

    def data_received(self, data: bytes) -> None:
        """Refuse a head, or trailers, that do not end."""
        self._silent_bytes += len(data)
        super().data_received(data)
        if self._silent_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
            self._refuse_head()

    def on_message_begin(self) -> None:
        """A request begins: its head is awaited, its chunks are counted."""
        super().on_message_begin()
        self.scope["state"][CHUNKS] = 0
        self.scope["state"][CUT] = self._cut
        self._in_head, self._header_bytes = True, 0
        if self._head_timer is None:
            self._await_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; trailers are none, and are not looked at."""
        self._header_bytes += len(name) + len(value)
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head has come. What is raised here ends as a 400 of ours."""
        self._stop_waiting()
        self._in_head, self._silent_bytes = False, 0
        if self._header_bytes + len(self.url) > MOST_HEAD_BYTES:
            raise ValueError("the head is too large")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._silent_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The body has come: read on, to notice when the client leaves."""
        self._silent_bytes = 0
        self.scope["state"][WHOLE] = True
        super().on_message_complete()
        if not self.pipeline:  # else they would be taken in without end
            self.flow.resume_reading()

    def on_chunk_header(self) -> None:
        """One more chunk of a body without a length."""
        self.scope["state"][CHUNKS] += 1

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP, or more of it than is read."""
        if self._header_bytes > MOST_HEAD_BYTES:
            self._refuse_head()
        else:
            self._refuse(b"400 Bad Request", "this is not a valid HTTP request")

    def pause_writing(self) -> None:
        """More is unread than is kept."""
        super().pause_writing()
        self._unread.watch()

    def resume_writing(self) -> None:
        """The client reads on."""
        self._unread.stop()
        super().resume_writing()

    def on_response_complete(self) -> None:
        """An answer is written: it goes out at once, and not after the next step."""
        self._gathering.send()
        super().on_response_complete()
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self._unread.watch()

    def timeout_keep_alive_handler(self) -> None:
        """Nothing was asked for long; but an answer that is still being read is no idleness."""
        if self.transport.get_write_buffer_size():
            self._unread.watch()
            self.timeout_keep_alive_task = self.loop.call_later(
                READ_SECONDS, self.timeout_keep_alive_handler
            )
        else:
            super().timeout_keep_alive_handler()

    def _cut(self, at_once: bool) -> None:
        """An answer that was begun and has no end must not look like a whole one."""
        if at_once:
            self.transport.abort()
        else:
            self.transport.close()

    def _await_head(self) -> None:
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

    def _refuse_head(self) -> None:
        limit = f"the limit of {MOST_HEAD_BYTES} bytes"
        self._refuse(b"431 Request Header Fields Too Large", f"headers are larger than {limit}")

    def _refuse(self, status: bytes, message: str) -> None:
        """Answer and close; where a request before it has none yet, that is the last answer."""
        self._stop_waiting()
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            cycle.keep_alive = False
            self.flow.pause_reading()
            return
        if REFUSED in self.app_state:
            self.app_state[REFUSED](int(status[:3]))
        body = orjson.dumps({"error": message})
        head = (
            b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
            b"Connection: close\r\n\r\n"
        )
        self.transport.write(head % (status, len(body)) + body)
        self.transport.close()
