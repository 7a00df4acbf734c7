from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

import pytest
from starlette.requests import Request
from starlette.types import Message

from service.body import read_json_body
from service.errors import ClientGone, SlowBody, TooLarge


def read(
    messages: Iterable[Message], headers: dict[str, str] | None = None, seconds: float = 5
) -> bytes:
    """Read a body that arrives as these messages, and then nothing more."""

    async def body() -> bytes:
        waiting = iter(messages)

        async def receive() -> Message:
            for message in waiting:
                return message
            return await asyncio.Future()

        raw = [(k.encode(), v.encode()) for k, v in (headers or {}).items()]
        request = Request({"type": "http", "method": "POST", "headers": raw}, receive)
        return await read_json_body(request, max_bytes=10, seconds=seconds)

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


def test_a_large_body_that_never_ends_is_refused_all_the_same() -> None:
    with pytest.raises(TooLarge, match="limit of 10"):
        read([chunk(b"x" * 11, True)], {"content-length": "3"}, seconds=0.05)


def test_a_body_that_does_not_arrive_is_given_up() -> None:
    with pytest.raises(SlowBody, match=r"0\.01 seconds"):
        read([chunk(b"1", True)], seconds=0.01)


def test_a_client_that_leaves_is_told_apart() -> None:
    with pytest.raises(ClientGone):
        read([chunk(b"1", True), {"type": "http.disconnect"}])
