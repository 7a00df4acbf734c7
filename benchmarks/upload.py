"""A client of streams that costs next to nothing: bytes made before, over a bare socket."""

from __future__ import annotations

import socket
from http.client import HTTPResponse
from types import TracebackType
from typing import Self

HEAD = (
    "POST /v1/models/{model}/stream HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n"
    "Accept: {accept}\r\nTransfer-Encoding: chunked\r\n\r\n"
)
NDJSON, ARROW = "application/x-ndjson", "application/vnd.apache.arrow.stream"
SECONDS = 120.0  # until it gives up


def chunk(data: bytes) -> bytes:
    """As a chunked body has it."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Upload:
    """One stream on a connection of its own."""

    def __init__(
        self, port: int, model: str, kind: str = NDJSON, accept: str = NDJSON, room: int = 0
    ) -> None:
        """room: bytes that the system takes of an answer that nobody reads; 0: as many as usual."""
        self._socket = socket.socket()
        if room:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self._socket.settimeout(SECONDS)
        self._socket.connect(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(HEAD.format(model=model, kind=kind, accept=accept).encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()

    def send(self, data: bytes) -> None:
        """A chunk."""
        self.write(chunk(data))

    def write(self, chunks: bytes) -> None:
        """Chunks that were made before."""
        self._socket.sendall(chunks)

    def end(self) -> HTTPResponse:
        """That was all; the answer, once it has begun."""
        self._socket.sendall(b"0\r\n\r\n")
        return self.answer()

    def answer(self) -> HTTPResponse:
        """What the server says, whatever was sent."""
        response = HTTPResponse(self._socket)
        response.begin()
        return response

    def leave(self) -> None:
        """Without another word."""
        self._socket.close()
