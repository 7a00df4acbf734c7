"""Messages are read once it is known who calls, and only so many are arriving at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from grpc import StatusCode

from service.body import BodyLimits
from service.errors import BadRequest, ClientGone, QueueFull, ServiceError, SlowBody, TooLarge
from service.protocol import leave
from service.rpc import reading as module
from service.rpc.messages import methods
from service.rpc.reading import Reading
from tests.service.fakes import service
from tests.service.rpc.asking import PATH
from tests.service.rpc.test_calls import AbortedError, Context, called, calls, line
from tests.service.rpc.test_methods import KEYS, OPEN

LIMITS = BodyLimits(100, 100, 250, 60.0, 1.0, 1)  # two messages may arrive that may be large
NAMES = sorted(path.rpartition("/")[2] for path in methods())


class Untouched(Context):
    """Whose message nobody may read."""

    async def read(self) -> Any:
        raise AssertionError("the message is read")


class Arriving(Context):
    """Whose message arrives when it is told to; EOF: there is none."""

    def __init__(self, message: Any = b"x") -> None:
        super().__init__()
        self.message, self.come, self.begun = message, asyncio.Event(), False
        self.scope: dict[str, Any] = {"state": {}}

    async def read(self) -> Any:
        self.begun = True
        await self.come.wait()
        return self.message

    def by(self, reading: Reading) -> asyncio.Task[bytes]:
        return asyncio.create_task(reading.read(self, self.scope))


async def until(found: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not found():
            await asyncio.sleep(0)


async def begun(contexts: list[Arriving], count: int) -> None:
    """So many are being read, or have been; and no more, however long others have had."""
    await until(lambda: sum(own.begun for own in contexts) >= count)
    for _ in range(10):
        await asyncio.sleep(0)
    assert sum(own.begun for own in contexts) == count


@pytest.mark.parametrize("method", [name for name in NAMES if name not in OPEN])
@pytest.mark.parametrize("key", [{}, {"x_api_key": "wrong"}])
def test_a_message_is_not_read_before_its_caller_s_key_is_known(
    method: str, key: dict[str, Any]
) -> None:
    context = Untouched(**key)
    with pytest.raises(AbortedError):
        asyncio.run(calls(service(), keys=KEYS).call(f"{PATH}/{method}", context))
    assert context.code is StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("method", sorted(OPEN))
def test_what_everybody_may_ask_is_answered_without_reading_anything(method: str) -> None:
    context, served = Untouched(), service()
    served.readiness.started = True
    found = asyncio.run(calls(served, keys=KEYS).call(f"{PATH}/{method}", context))
    assert (found, context.code) == (b"\x08\x01", None)


def test_calls_read_in_turn_and_all_have_theirs() -> None:
    async def test() -> None:
        reading = Reading(LIMITS, at_once=2)
        contexts = [Arriving() for _ in range(7)]
        tasks = [own.by(reading) for own in contexts]
        for i, own in enumerate(contexts):
            await begun(contexts, min(7, i + 2))
            own.come.set()
            assert await tasks[i] == b"x"

    asyncio.run(test())


def test_as_many_messages_arrive_for_long_as_fit_and_small_ones_pass_them() -> None:
    async def test() -> None:
        reading = Reading(LIMITS, moment=0.0)
        long = [Arriving(), Arriving(), Arriving()]
        first, second, third = (own.by(reading) for own in long)
        with pytest.raises(QueueFull, match="the limit is 250 bytes") as caught:
            await asyncio.wait_for(third, 20)
        assert caught.value.reason == "memory"
        small = Arriving(b"small")
        small.come.set()
        assert await small.by(reading) == b"small"
        long[0].come.set()
        assert await first == b"x"
        fourth = Arriving()
        again = fourth.by(reading)
        await until(lambda: fourth.begun)
        for own in (fourth, long[1]):
            own.come.set()
        assert [await again, await second] == [b"x", b"x"]

    asyncio.run(test())


def test_one_message_may_always_arrive_however_large() -> None:
    async def test() -> bytes:
        reading, own = Reading(BodyLimits(100, 100, 1, 60.0, 1.0, 1), moment=0.0), Arriving()
        task = own.by(reading)
        await begun([own], 1)
        own.come.set()
        return await task

    assert asyncio.run(test()) == b"x"


def test_whoever_waits_for_a_turn_for_too_long_is_told_to_come_again() -> None:
    async def test() -> Arriving:
        reading, own = Reading(BodyLimits(100, 100, 250, 0.0, 1.0, 1), at_once=1), Arriving()
        await reading._turns._free.acquire()
        with pytest.raises(QueueFull, match="messages of others are being read") as caught:
            await own.by(reading)
        assert caught.value.reason == "memory"
        return own

    assert not asyncio.run(test()).begun


def test_a_client_that_leaves_waits_for_no_turn() -> None:
    async def test() -> None:
        reading, own, next_one = Reading(LIMITS, at_once=1), Arriving(), Arriving(b"next")
        await reading._turns._free.acquire()
        task, other = own.by(reading), next_one.by(reading)
        await until(lambda: bool(own.scope["state"]))
        leave(own.scope["state"])
        with pytest.raises(ClientGone):
            await task
        next_one.come.set()
        reading._turns._free.release()
        assert await other == b"next"
        assert not own.begun

    asyncio.run(test())


def test_a_read_that_is_given_up_is_not_cancelled_under_grpc() -> None:
    async def test() -> None:
        reading, own = Reading(BodyLimits(100, 100, 250, 0.0, 1.0, 1)), Arriving()
        with pytest.raises(SlowBody):
            await own.by(reading)
        (read,) = asyncio.all_tasks() - {asyncio.current_task()}
        own.come.set()
        assert await read == b"x"

    asyncio.run(test())


@pytest.mark.parametrize(
    ("over", "kind", "sentence", "code"),
    [
        (False, BadRequest, "the message is missing", StatusCode.INVALID_ARGUMENT),
        (True, TooLarge, "the limit of 1000 bytes", StatusCode.RESOURCE_EXHAUSTED),
    ],
)
def test_a_missing_message_is_told_from_one_that_is_too_large(
    over: bool, kind: type[ServiceError], sentence: str, code: StatusCode
) -> None:
    context = Context(grpc.aio.EOF)
    context.over = over
    with pytest.raises(AbortedError):
        called(context)
    assert context.code is code
    assert sentence in context.details


@pytest.mark.parametrize(("first", "deadline"), [(0.0, None), (60.0, 0.0)])
def test_a_client_that_leaves_before_its_message_has_come_is_logged_as_that(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    first: float,
    deadline: float | None,
) -> None:
    monkeypatch.setattr(module, "FIRST_SECONDS", first)
    context = Context(grpc.aio.EOF, deadline)
    context.over = True
    with caplog.at_level(logging.INFO, "sumserve.access"), pytest.raises(AbortedError):
        called(context)
    assert line(caplog)["status"] == 499


def test_nothing_is_sent_to_who_is_known_to_have_left() -> None:
    async def test() -> None:
        reading, own = Reading(LIMITS), Arriving(grpc.aio.EOF)
        task = own.by(reading)
        await until(lambda: own.begun)
        leave(own.scope["state"])
        own.come.set()
        with pytest.raises(ServiceError):
            await task
        assert not own.sent

    asyncio.run(test())
