from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest
from starlette.requests import Request
from starlette.types import Message

from service import body as module
from service.body import Bodies, BodyLimits
from service.errors import BadRequest, ClientGone, QueueFull, SlowBody, TooLarge, UnsupportedMedia
from service.protocol import CHUNKS

LIMITS = BodyLimits(
    bytes=10, inflated_bytes=100, in_flight_bytes=40, seconds=5, bytes_per_second=1, chunks=3
)


def a_request(
    messages: Iterable[Message], headers: dict[str, str] | None = None, chunks: int = 0
) -> Request:
    """Its body arrives as these messages, and then nothing more."""
    waiting = iter(messages)

    async def receive() -> Message:
        for message in waiting:
            return message
        return await asyncio.Future()

    raw = [(k.encode(), v.encode()) for k, v in (headers or {}).items()]
    scope = {"type": "http", "method": "POST", "headers": raw, "state": {CHUNKS: chunks}}
    return Request(scope, receive)


def read(
    messages: Iterable[Message],
    headers: dict[str, str] | None = None,
    limits: BodyLimits = LIMITS,
    chunks: int = 0,
) -> bytes:
    async def body() -> bytes:
        bodies = Bodies(limits)
        with bodies.holding() as held:
            return bytes(await bodies.receive(a_request(messages, headers, chunks), held))

    return asyncio.run(body())


def chunk(data: bytes, more: bool) -> Message:
    return {"type": "http.request", "body": data, "more_body": more}


def test_chunks_are_put_together() -> None:
    assert read([chunk(b"12", True), chunk(b"345", False)]) == b"12345"


def test_a_body_of_exactly_the_limit_passes() -> None:
    assert len(read([chunk(b"x" * 10, False)], {"content-length": "10"})) == 10


def test_a_client_that_asks_first_is_refused_before_anything_is_read() -> None:
    with pytest.raises(TooLarge, match="limit of 10"):
        read([], {"content-length": "11", "expect": "100-continue"})


@pytest.mark.parametrize("headers", [{"content-length": "30"}, {}])
def test_a_large_body_is_read_to_its_end_so_that_the_answer_arrives(
    headers: dict[str, str],
) -> None:
    taken: list[int] = []

    def messages() -> Iterator[Message]:
        for i in range(3):
            taken.append(i)
            yield chunk(b"x" * 10, i < 2)

    with pytest.raises(TooLarge, match="limit of 10"):
        read(messages(), headers)
    assert taken == [0, 1, 2]


@pytest.mark.parametrize("length", ["3", "9" * 5000])
def test_a_large_body_that_never_ends_is_refused_all_the_same(length: str) -> None:
    with pytest.raises(TooLarge, match="limit of 10"):
        read([chunk(b"x" * 11, True)], {"content-length": length}, replace(LIMITS, seconds=0.05))


def test_a_body_that_does_not_arrive_is_given_up() -> None:
    with pytest.raises(SlowBody, match=r"1 bytes .* allowed are 0\.01 seconds"):
        read([chunk(b"1", True)], limits=replace(LIMITS, seconds=0.01))


def test_a_body_that_trickles_is_given_up_before_its_whole_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.02)
    slow = replace(LIMITS, seconds=3600, bytes_per_second=100)
    with pytest.raises(SlowBody, match="100 bytes per second or more"):
        read([chunk(b"1", True), chunk(b"2", True)], limits=slow)


def test_too_many_chunks_are_refused() -> None:
    with pytest.raises(BadRequest, match="more than 3 chunks"):
        read([chunk(b"1", True), chunk(b"2", False)], chunks=4)
    assert read([chunk(b"1", False)], chunks=3) == b"1"


def test_a_client_that_leaves_is_told_apart() -> None:
    with pytest.raises(ClientGone):
        read([chunk(b"1", True), {"type": "http.disconnect"}])


def test_a_compressed_body_is_inflated_within_its_own_limit() -> None:
    small = replace(LIMITS, bytes=100)
    body = gzip.compress(b"x" * 100)
    gzipped = {"content-encoding": "GZIP"}
    assert read([chunk(body, False)], gzipped, small) == b"x" * 100
    with pytest.raises(TooLarge, match="inflates to more than the limit of 99"):
        read([chunk(body, False)], gzipped, replace(small, inflated_bytes=99))
    with pytest.raises(UnsupportedMedia):
        read([chunk(body, False)], {"content-encoding": "gzip, gzip"}, small)


def test_bodies_in_flight_are_bounded_together_and_given_back() -> None:
    bodies = Bodies(replace(LIMITS, in_flight_bytes=15))

    async def receive(data: bytes, until: asyncio.Event) -> int:
        with bodies.holding() as held:
            found = await bodies.receive(a_request([chunk(data, False)]), held)
            await until.wait()
            return len(found)

    async def test() -> None:
        done = asyncio.Event()
        first = asyncio.create_task(receive(b"x" * 10, done))
        await asyncio.sleep(0)
        assert bodies.in_flight == 10
        with pytest.raises(QueueFull, match="hold 10 bytes; the limit is 15"):
            await receive(b"x" * 6, done)
        assert bodies.in_flight == 10
        done.set()
        assert await receive(b"x" * 5, done) == 5
        assert await first == 10
        assert bodies.in_flight == 0

    asyncio.run(test())


def test_a_body_above_the_bound_of_all_is_taken_when_it_is_alone() -> None:
    assert read([chunk(b"x" * 9, False)], limits=replace(LIMITS, in_flight_bytes=5))
