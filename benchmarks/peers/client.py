"""A client that costs next to nothing: bytes made before, one connection, answers not parsed."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

HEAD_BYTES = 2**16
TIMEOUT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; the body is good until the connection's next request."""

    headers: Mapping[str, str]
    body: memoryview


def request(
    method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> bytes:
    """All bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """Kept alive; one request at a time."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(HEAD_BYTES)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def send(self, prepared: bytes) -> Reply:
        """Send a request and receive all of its answer; ConnectionError unless that is 200."""
        self._socket.sendall(prepared)
        head, start, end = self._receive_head()
        status, *lines = head.split("\r\n")
        headers = {name.lower(): value for name, _, value in (x.partition(": ") for x in lines)}
        last = start + int(headers["content-length"])
        self._receive(end, last)
        body = memoryview(self._buffer)[start:last]
        if status.split()[1] != "200":
            raise ConnectionError(f"{status}: {bytes(body[:500])!r}")
        return Reply(headers, body)

    def _receive_head(self) -> tuple[str, int, int]:
        """The head, where it ends in the buffer, and how far that is filled."""
        end = 0
        while (found := self._buffer.find(b"\r\n\r\n", 0, end)) < 0:
            end += self._some(memoryview(self._buffer)[end:HEAD_BYTES])
        return self._buffer[:found].decode(), found + 4, end

    def _receive(self, end: int, last: int) -> None:
        """Fill the buffer up to ``last``."""
        if last > len(self._buffer):
            self._buffer = self._buffer + bytes(last - len(self._buffer))
        view = memoryview(self._buffer)
        while end < last:
            end += self._some(view[end:last])

    def _some(self, room: memoryview) -> int:
        count = self._socket.recv_into(room)
        if not count:
            raise ConnectionError("the server closed the connection")
        return count
