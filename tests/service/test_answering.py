"""Large answers, and errors of large bodies, hold no more memory than is counted, nor for ever."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from starlette.responses import Response
from starlette.types import Message, Scope

from service import body as module
from service.answering import Unhurried
from service.body import Bodies
from service.errors import BadRequest
from service.prediction import call
from service.protocol import CUT
from service.streams.outgoing import WRITTEN_BYTES
from tests.service.fakes import service
from tests.service.test_body import LIMITS, a_request, chunk

LARGE = b"x" * (2 * WRITTEN_BYTES + 1)


def scope(cut: list[bool]) -> Scope:
    return {"type": "http", "state": {CUT: cut.append}, "sumserve.log": {}}


async def gone() -> Message:
    return {"type": "http.disconnect"}


def test_an_answer_is_counted_until_its_last_piece_is_taken() -> None:
    async def test() -> None:
        bodies, held, seen = Bodies(LIMITS), [], b""

        async def send(message: Message) -> None:
            nonlocal seen
            held.append(bodies.in_flight)
            seen += message.get("body", b"")

        answer = Unhurried(Response(LARGE), bodies.holding(), 5)
        await answer(scope([]), gone, send)
        assert seen == LARGE
        assert held == [len(LARGE)] * 5  # the head, three pieces, the end
        assert bodies.in_flight == 0

    asyncio.run(test())


def test_who_reads_nothing_loses_the_connection_and_holds_nothing() -> None:
    async def test() -> None:
        bodies, cut = Bodies(LIMITS), list[bool]()

        async def send(message: Message) -> None:
            if message["type"] == "http.response.body":
                await asyncio.Future()

        asked = scope(cut)
        await Unhurried(Response(LARGE), bodies.holding(), 0.01)(asked, gone, send)
        assert cut == [True]
        assert bodies.in_flight == 0
        assert asked["sumserve.log"]["status"] == 499

    asyncio.run(test())


class Parsed:
    """What a body becomes, many times as large."""


def test_an_error_of_a_large_body_holds_nothing_of_what_was_parsed() -> None:
    found: list[weakref.ref[Parsed]] = []

    def decode() -> None:
        parsed = Parsed()
        found.append(weakref.ref(parsed))
        try:
            raise ValueError(parsed)
        except ValueError as error:
            raise BadRequest("it is wrong") from error

    async def test() -> None:
        with pytest.raises(BadRequest, match="it is wrong") as caught:
            await call(service(), True, decode)
        gc.collect()
        assert caught.value.__cause__ is None
        assert found[0]() is None

    asyncio.run(test())


def test_no_more_bodies_are_inflated_at_a_time_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once, most = 0, 0

    async def slow(function: Any, *_: Any) -> bytes:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return b"inflated"

    async def test() -> None:
        bodies = Bodies(LIMITS)

        async def one() -> None:
            with bodies.holding() as held:
                request = a_request([chunk(b"1", False)], {"content-encoding": "gzip"})
                assert await bodies.receive(request, held) == b"inflated"

        with monkeypatch.context() as patch:
            patch.setattr(asyncio, "to_thread", slow)
            await asyncio.gather(*(one() for _ in range(4)))

    asyncio.run(test())
    assert most == module.INFLATERS
