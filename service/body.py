"""Reads request bodies within their limits, before anything looks inside."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

from service.encoding import inflate
from service.errors import BadRequest, ClientGone, QueueFull, SlowBody, TooLarge
from service.few import Few
from service.protocol import CHUNKS, WHOLE

LINGER_SECONDS = 5.0
INFLATERS = 2  # bodies that are inflated at a time: none is counted before it is whole
GRACE_SECONDS = 5.0  # before the rate counts: for the time a connection takes to come to speed


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Of one body: bytes as sent and inflated, seconds, bytes per second, chunks; of all: bytes."""

    bytes: int
    inflated_bytes: int
    in_flight_bytes: int
    seconds: float
    bytes_per_second: float
    chunks: int


class Bodies:
    """Receives bodies, and holds no more of them at a time than it may."""

    def __init__(self, limits: BodyLimits) -> None:
        self._limits = limits
        self.in_flight = 0
        self._inflating = Few(INFLATERS, limits.seconds, "compressed bodies")
        self._freed: asyncio.Event | None = None  # where anybody waits for it

    def holding(self) -> Held:
        """What one request will hold of them, until the block is left."""
        return Held(self, self._limits.in_flight_bytes)

    def count(self, more: int) -> None:
        """So many more are held, or fewer."""
        self.in_flight += more
        if more < 0:
            self.wake()

    def wake(self) -> None:
        """Whoever waits for room is to look again."""
        if self._freed is not None:
            self._freed.set()
            self._freed = None

    async def freed(self) -> None:
        """Wait until somebody holds less, or there is another reason to look again."""
        self._freed = self._freed or asyncio.Event()
        await self._freed.wait()

    async def receive(self, request: Request, held: Held) -> bytes | bytearray:
        """A request's body, inflated.

        Raises TooLarge, SlowBody, ClientGone, QueueFull, UnsupportedMedia and BadRequest. What is
        wrong with a body is said after it has come: a client that is still writing when its
        connection closes never reads the answer.
        """
        body = await self._collect(request, held)
        encoding = request.headers.get("content-encoding", "").strip().lower()
        if encoding in ("", "identity"):
            return body
        async with self._inflating.turn(request.scope):
            return await self._inflated(body, encoding, held)

    async def _collect(self, request: Request, held: Held) -> bytearray:
        """The body as it was sent."""
        body = bytearray()
        try:
            await self._fill(body, request, held)
        except ClientDisconnect as error:
            raise ClientGone("the client left before its body had arrived") from error
        except TimeoutError as error:
            raise SlowBody(
                f"{len(body)} bytes of the body arrived in time; allowed are "
                f"{self._limits.seconds:g} seconds, at {self._limits.bytes_per_second:g} bytes "
                "per second or more"
            ) from error
        except (TooLarge, QueueFull, BadRequest):
            await _let_finish(request, min(self._limits.seconds, LINGER_SECONDS))
            raise
        return body

    async def _fill(self, body: bytearray, request: Request, held: Held) -> None:
        limits, start = self._limits, asyncio.get_running_loop().time()
        length = request.headers.get("content-length", "")
        self._check_size(int(length[:19]) if length.isdigit() else 0)
        latest, grace = start + limits.seconds, min(start + GRACE_SECONDS, start + limits.seconds)
        if request.scope.get("state", {}).get(WHOLE):  # nothing is waited for
            while await self._more(body, request, held):
                pass
            return
        async with asyncio.timeout_at(grace) as deadline:
            while await self._more(body, request, held):
                rate = len(body) / limits.bytes_per_second
                deadline.reschedule(min(latest, grace + rate))

    async def _more(self, body: bytearray, request: Request, held: Held) -> bool:
        """Take in a piece; whether there are others."""
        chunk, more = await _receive(request)
        body += chunk
        held.take(len(chunk))
        self._check_size(len(body))
        self._check_chunks(request)
        return more

    def _check_size(self, size: int) -> None:
        if size > self._limits.bytes:
            raise TooLarge(f"the body is larger than the limit of {self._limits.bytes} bytes")

    def _check_chunks(self, request: Request) -> None:
        chunks = request.scope.get("state", {}).get(CHUNKS, 0)
        if chunks > self._limits.chunks:
            raise BadRequest(f"the body comes in more than {self._limits.chunks} chunks")

    async def _inflated(self, body: bytes | bytearray, encoding: str, held: Held) -> bytes:
        # In a thread, however small it is: it may become a thousand times as large.
        inflated = await asyncio.to_thread(inflate, body, encoding, self._limits.inflated_bytes)
        held.take(len(inflated))
        return inflated


class Held:
    """What one request holds of the bytes in flight."""

    def __init__(self, bodies: Bodies, most: int) -> None:
        self.bodies, self.most, self.bytes = bodies, most, 0

    @property
    def others(self) -> int:
        """Bytes that other requests hold."""
        return self.bodies.in_flight - self.bytes

    def take(self, count: int) -> None:
        """Count so many more; QueueFull when they do not fit. Alone, a request always fits."""
        others = self.others
        if others and self.bodies.in_flight + count > self.most:
            what = f"requests in flight hold {others} bytes; the limit is {self.most}"
            raise QueueFull(what, reason="memory")
        self.hold(self.bytes + count)

    def hold(self, count: int) -> None:
        """Count so many from now on, whether they fit or not."""
        more, self.bytes = count - self.bytes, count
        self.bodies.count(more)

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        """Give all of them back."""
        self.hold(0)


async def _let_finish(request: Request, seconds: float) -> None:
    """Throw away what a client still sends, for a while.

    Closing on a client that is writing resets the connection, and the answer is lost. A client
    that asks first (Expect: 100-continue) is answered at once.
    """
    if "expect" in request.headers:
        return
    with suppress(ClientDisconnect, TimeoutError):
        async with asyncio.timeout(seconds):
            while (await _receive(request))[1]:
                pass


async def _receive(request: Request) -> tuple[bytes, bool]:
    """The next piece of the body, and whether there is more."""
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)
