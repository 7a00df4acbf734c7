from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, cast

import numpy as np
import pytest

from service.engine.request import Answer, Task
from service.errors import StepFailed
from service.stages import Feeds
from service.streams.belt import AHEAD, Belt
from service.streams.walk import Found, Walk
from tests.service.streams.talk import settled, to_its_end, until


class Held:
    """An engine that runs tasks when it is told to, in the order it is told."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Task, asyncio.Future[Answer]]] = []
        self.tokens: list[int] = []

    async def advance(self, model: str, tokens: int, task: Task, *, client: str) -> Answer:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        entry = (task, future)
        self.waiting.append(entry)
        self.tokens.append(tokens)
        try:
            return await future
        finally:
            if entry in self.waiting:
                self.waiting.remove(entry)

    def run(self, which: int = 0) -> None:
        task, future = self.waiting.pop(which)
        try:
            future.set_result(Answer(task(), 1.5, 9.0))
        except StepFailed as error:
            future.set_exception(error)


class Echo:
    """A walk that finds its pieces."""

    passes, fails = 2, False

    def run(self, tokens: Feeds) -> Found:
        if self.fails:
            raise StepFailed("no")
        return Found(tokens, {})


def belt(engine: Held, walk: Echo | None = None) -> Belt:
    return Belt(engine, "m", cast(Walk, walk or Echo()), "me")


async def pieces(asked: list[int], count: int = 6) -> AsyncIterator[Feeds]:
    for i in range(count):
        asked.append(i)
        yield {"x": np.full(10, i)}


async def collect(every: AsyncGenerator[Found, None], found: list[Any]) -> None:
    async with aclosing(every):
        async for one in every:
            found.append(int(one.kept["x"][0]))


@pytest.mark.parametrize("order", [0, -1])
def test_pieces_keep_their_order_whichever_task_runs_first(order: int) -> None:
    async def all_of_it() -> None:
        engine, found, asked = Held(), list[int](), list[int]()
        going = asyncio.create_task(collect(belt(engine).through(pieces(asked)), found))
        while not going.done():
            await until(lambda: bool(engine.waiting) or going.done())
            await settled(lambda: len(engine.waiting))
            if engine.waiting:
                engine.run(order)
        await going
        assert found == list(range(6))
        assert engine.tokens == [5] * 6, "a token counts once over two passes"

    to_its_end(all_of_it())


def test_no_more_pieces_are_asked_for_than_may_be_ahead() -> None:
    async def all_of_it() -> None:
        engine, found, asked = Held(), list[int](), list[int]()
        going = asyncio.create_task(collect(belt(engine).through(pieces(asked)), found))
        assert await settled(lambda: len(asked)) == AHEAD
        engine.run()
        assert await settled(lambda: len(asked)) == AHEAD + 1
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going
        assert not engine.waiting, "what waited has left the queue"

    to_its_end(all_of_it())


def test_what_is_with_the_engine_is_counted() -> None:
    async def all_of_it() -> None:
        engine, found = Held(), list[int]()
        own = belt(engine)
        going = asyncio.create_task(collect(own.through(pieces([], 3)), found))
        counted = []
        while not going.done():
            await until(lambda: bool(engine.waiting) or going.done())
            counted.append(await settled(lambda: own.bytes))
            if engine.waiting:
                engine.run()
        await going
        assert counted[:3] == [160, 160, 80], "two pieces of ten integers, at last one"
        assert own.bytes == 0

    to_its_end(all_of_it())


def test_a_task_that_comes_too_late_runs_nothing() -> None:
    async def all_of_it() -> None:
        engine, found = Held(), list[int]()
        going = asyncio.create_task(collect(belt(engine).through(pieces([])), found))
        await until(lambda: len(engine.waiting) == AHEAD)
        tasks = [task for task, _ in engine.waiting]
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)
        assert [task() for task in tasks] == [{}, {}]
        assert not found

    to_its_end(all_of_it())


def test_an_error_ends_it_and_what_waits_leaves_the_queue() -> None:
    async def all_of_it() -> None:
        engine, walk = Held(), Echo()
        walk.fails = True
        going = asyncio.create_task(collect(belt(engine, walk).through(pieces([])), []))
        await until(lambda: len(engine.waiting) == AHEAD)
        engine.run()
        with pytest.raises(StepFailed):
            await going
        assert not engine.waiting

    to_its_end(all_of_it())
