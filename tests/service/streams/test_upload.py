from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Iterable

import pytest
from starlette.requests import Request
from starlette.types import Message

from service.body import BodyLimits
from service.errors import BadRequest, ClientGone, ServiceError, SlowBody, UnsupportedMedia
from service.protocol import CHUNKS
from service.streams.upload import INFLATED_BYTES, Inflater, Upload

LIMITS = BodyLimits(10, 10, 10, 60.0, 1000.0, 100)
Part = bytes | None  # None: the client has left


class Clock(asyncio.SelectorEventLoop):
    """A loop on which waiting takes no time, but the clock goes on."""

    now = 0.0

    def time(self) -> float:
        return self.now


def wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


def received(
    parts: Iterable[tuple[float, Part]], encoding: str = "", chunks: int = 0
) -> tuple[bytes, type[ServiceError] | None]:
    """What comes of an upload whose parts take so many seconds each."""
    loop, found, rest = Clock(), bytearray(), iter(parts)

    async def receive() -> Message:
        seconds, part = next(rest, (0.0, b""))
        waiting = loop.create_future()
        # The loop wakes whoever is due: the deadline, or this.
        loop.call_at(loop.time() + seconds, wake, waiting)
        await waiting
        if part is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": bool(part)}

    async def collect() -> type[ServiceError] | None:
        headers = [(b"content-encoding", encoding.encode())] if encoding else []
        scope = {"type": "http", "headers": headers, "state": {CHUNKS: chunks}}
        own = Upload(Request(scope, receive), LIMITS)
        try:
            own.check_encoding()
            async for data in own.parts():
                found.extend(data)
        except ServiceError as error:
            return type(error)
        return None

    task = loop.create_task(collect())
    while not task.done():
        loop._scheduled.sort()  # type: ignore[attr-defined]
        if not loop._ready and loop._scheduled:  # type: ignore[attr-defined]
            loop.now = max(loop.now, loop._scheduled[0].when())  # type: ignore[attr-defined]
        loop.call_soon(loop.stop)
        loop.run_forever()
    result = task.result()
    loop.close()
    return bytes(found), result


def test_it_may_take_any_time_at_the_rate() -> None:
    assert received([(1.0, b"x" * 1000)] * 500) == (b"x" * 500_000, None)


def test_below_the_rate_it_is_dropped_after_the_grace() -> None:
    found, error = received([(1.0, b"x" * 100)] * 500)
    assert error is SlowBody
    assert len(found) == 500  # five seconds of grace, and half a second for what came


@pytest.mark.parametrize(("pause", "wanted"), [(59.0, None), (61.0, SlowBody)])
def test_a_lead_is_worth_a_pause_of_some_length_and_no_more(
    pause: float, wanted: type[ServiceError] | None
) -> None:
    parts = [(0.0, b"x" * 10**6), (pause, b"x"), (0.0, b"")]
    assert received(parts)[1] is wanted


def test_a_client_that_leaves_is_gone() -> None:
    assert received([(0.0, b"abc"), (0.0, None)]) == (b"abc", ClientGone)


def test_crumbs_are_refused() -> None:
    assert received([(0.0, b"x" * 64)], chunks=105)[1] is BadRequest
    assert received([(0.0, b"x" * 64)], chunks=104)[1] is None
    assert received([(2.0, b"x" * 64)], chunks=2100)[1] is None


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("step", [1, 1000, 10**7])
def test_it_is_inflated_bit_by_bit(encoding: str, step: int) -> None:
    body = b"[1, 2, 3]\n" * 30_000 + bytes(2 * INFLATED_BYTES)
    packed = gzip.compress(body) if encoding == "gzip" else zlib.compress(body)
    parts = [(0.0, packed[i : i + step]) for i in range(0, len(packed), step)]
    assert received(parts, encoding) == (body, None)


def test_it_never_holds_much_of_what_it_inflates() -> None:
    own, sizes = Inflater("deflate"), []
    for part in own.more(zlib.compress(bytes(50 * 2**20))):
        sizes.append(len(part))
    own.check_end()
    assert sum(sizes) == 50 * 2**20
    assert max(sizes) == INFLATED_BYTES


def inflated(body: bytes) -> bytes:
    own = Inflater("deflate")
    found = b"".join(own.more(body))
    own.check_end()
    return found


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (zlib.compress(b"[1]")[:-3], "is cut off"),
        (zlib.compress(b"[1]") + b"more", "goes on after its end"),
        (b"nonsense", "the body is not valid deflate"),
    ],
)
def test_what_is_not_well_compressed_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        inflated(body)


def test_other_encodings_are_refused() -> None:
    assert received([], "br")[1] is UnsupportedMedia
