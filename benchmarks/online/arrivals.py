"""Open loop: requests sent when they are due, whatever has become of those before.

Latency counts from when a request was due, so that a generator or server that falls behind is not
flattered. Answers are not parsed while the load runs; some are kept.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import uvloop

from benchmarks.peers.client import Reply
from service.pack import Array

CONNECTIONS = 256
SHORTEST_SLEEP = 0.001  # shorter ones are no sleep: they would take a processor from the server


@dataclass(frozen=True, slots=True)
class Record:
    """Seconds from the start, by request; and the answers that were kept, by request."""

    due: Array
    taken: Array  # when the generator came to it
    done: Array
    kept: Mapping[int, Reply]

    @property
    def latency(self) -> Array:
        """From when it was due."""
        return self.done - self.due

    @property
    def behind(self) -> Array:
        """The generator's own delay."""
        return self.taken - self.due


def poisson(rate: float, seconds: float, seed: int) -> Array:
    """When requests are due: independent of one another, so many a second."""
    rng = np.random.default_rng(seed)
    count = round(rate * seconds)
    return np.cumsum(rng.exponential(1 / rate, count))


def send(
    port: int,
    prepared: Sequence[bytes],
    due: Array,
    *,
    keep_every: int,
    connections: int = CONNECTIONS,
) -> Record:
    """Request i is the i-th prepared one, in rotation. ConnectionError when one is not answered."""
    gc.collect()
    gc.disable()
    try:
        return uvloop.run(_Generator(prepared, due, keep_every).run(port, connections))
    finally:
        gc.enable()


class _Connection(asyncio.Protocol):
    """Kept alive; one request at a time."""

    def __init__(
        self,
        answered: Callable[[_Connection, int, bytes, bytes], None],
        lost: Callable[[Exception | None], None],
    ) -> None:
        self._answered, self._lost = answered, lost
        self._buffer, self._wanted, self._body = bytearray(), 0, 0
        self.request = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(exc)

    def send(self, request: int, prepared: bytes) -> None:
        """The number of a request, and its bytes."""
        self.request = request
        self.transport.write(prepared)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._wanted:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self._body = end + 4
            self._wanted = self._body + _length(bytes(self._buffer[:end]))
        if len(self._buffer) >= self._wanted:
            head, body = bytes(self._buffer[: self._body]), bytes(self._buffer[self._body :])
            self._buffer, self._wanted = bytearray(), 0
            self._answered(self, self.request, head, body)


def _length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    if not found:
        raise ConnectionError(f"an answer without a length: {head[:300]!r}")
    return int(rest.split(b"\r\n", 1)[0])


class _Generator:
    """Sends each when it is due, over the connection that has been idle for longest, as some
    servers close what is idle for seconds; or the first that becomes idle.
    """

    def __init__(self, prepared: Sequence[bytes], due: Array, keep_every: int) -> None:
        self._prepared, self._due, self._keep_every = prepared, due, keep_every
        self._taken, self._done = np.zeros(len(due)), np.zeros(len(due))
        self._idle: deque[_Connection] = deque()
        self._waiting: deque[int] = deque()
        self._kept: dict[int, Reply] = {}
        self._left = len(due)
        self._start = 0.0

    async def run(self, port: int, connections: int) -> Record:
        """All of them."""
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        for _ in range(connections):
            _, own = await self._loop.create_connection(
                lambda: _Connection(self._answered, self._lost), "127.0.0.1", port
            )
            self._idle.append(own)
        opened = list(self._idle)
        self._start = time.perf_counter()  # the loop's own clock counts milliseconds
        await self._send_all()
        await asyncio.wait_for(self._over, 120)
        for own in opened:
            own.transport.close()
        return Record(self._due, self._taken, self._done, self._kept)

    async def _send_all(self) -> None:
        for request, due in enumerate(self._due.tolist()):
            while (wait := self._start + due - time.perf_counter()) > 0:
                await asyncio.sleep(max(wait, SHORTEST_SLEEP))
            self._taken[request] = time.perf_counter() - self._start
            if self._idle:
                self._send(self._idle.popleft(), request)
            else:
                self._waiting.append(request)

    def _send(self, connection: _Connection, request: int) -> None:
        connection.send(request, self._prepared[request % len(self._prepared)])

    def _answered(self, connection: _Connection, request: int, head: bytes, body: bytes) -> None:
        self._done[request] = time.perf_counter() - self._start
        if request % self._keep_every == 0:
            self._kept[request] = _reply(head, body)
        if head[9:12] != b"200" and not self._over.done():
            self._over.set_exception(ConnectionError(f"{head[:300]!r} {body[:300]!r}"))
        self._left -= 1
        if not self._left and not self._over.done():
            self._over.set_result(None)
        if self._waiting:
            self._send(connection, self._waiting.popleft())
        else:
            self._idle.append(connection)

    def _lost(self, error: Exception | None) -> None:
        if not self._over.done():
            self._over.set_exception(ConnectionError(f"a connection was closed: {error}"))


def _reply(head: bytes, body: bytes) -> Reply:
    lines = (line.partition(": ") for line in head.decode().split("\r\n")[1:])
    return Reply({name.lower(): value for name, _, value in lines}, memoryview(body))
