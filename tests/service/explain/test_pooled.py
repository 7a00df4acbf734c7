"""The work on a pooled model's explanation, in the engine's turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from service.engine.job import Job
from service.engine.request import Answer
from service.errors import QueueFull, StepFailed
from service.explain.omissions import ANSWER, CONTRIBUTION, Omissions
from service.explain.pooled import Pooled
from service.manifest import Output
from service.settings import Settings

OUTPUTS = (Output(name="y", per="sequence", width=1),)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Bits(Omissions):
    """Ten bits of a second each, and of a hundred units."""

    def __init__(self, clock: Clock, fails: int = -1) -> None:
        self.left, self.last, self._clock, self._fails = 1000, ANSWER, clock, fails
        self.most = {CONTRIBUTION: 1024, ANSWER: 1024}

    def work(self) -> Iterator[None]:
        for bit in range(10):
            assert bit != self._fails
            self.left -= 100
            self._clock.now += 1
            yield

    @property
    def outputs(self) -> dict[str, Any]:
        return {"y": np.ones((1, 1), np.float32)}

    @property
    def without(self) -> dict[str, Any]:
        return {}


class Engine:
    """Runs tasks as they come."""

    def __init__(self, room: int = 1000) -> None:
        self.tasks: list[tuple[int, str]] = []
        self.asked: list[tuple[str, int, float]] = []
        self._room = room

    def admit(self, job: Job) -> None:
        self.asked.append((job.client, job.cost, job.deadline))
        if job.cost > self._room:
            raise QueueFull("full")

    async def advance(
        self, model: str, tokens: int, task: Callable[[], Any], client: str
    ) -> Answer:
        self.tasks.append((tokens, client))
        try:
            task()
        except AssertionError as error:
            raise StepFailed("failed") from error
        return Answer({}, 7.0 * len(self.tasks), 1.0)


def pooled(engine: Any, clock: Clock, tokens: int = 10, fails: int = -1, **own: object) -> Pooled:
    settings = Settings.model_validate({"shared_ms": 3000, **own})
    return Pooled(engine, settings, "m", Bits(clock, fails), OUTPUTS, tokens, clock)


def test_a_task_ends_when_its_time_is_up_and_counts_as_so_many_tokens() -> None:
    engine, clock = Engine(), Clock()
    found = asyncio.run(pooled(engine, clock).run("me", 60))
    assert engine.tasks == [(500, "me"), (150, "me"), (150, "me"), (50, "me")]
    assert (found.queue_ms, found.compute_ms) == (7.0, 10_000.0)
    assert found.without["y"].shape == (0, 1)


@pytest.mark.parametrize(("shared_ms", "most"), [(500, 16), (2000, 1024), (9000, 4096)])
def test_bits_become_as_long_as_suits_a_task(shared_ms: int, most: int) -> None:
    made = pooled(Engine(), Clock(), shared_ms=shared_ms)
    asyncio.run(made.run("me", 60))
    assert made.omissions.most == {CONTRIBUTION: 1024, ANSWER: most}


def test_what_fails_ends_it() -> None:
    engine, clock = Engine(), Clock()
    with pytest.raises(StepFailed):
        asyncio.run(pooled(engine, clock, fails=4).run("me", 60))
    assert len(engine.tasks) == 2


def test_a_full_queue_takes_none() -> None:
    engine, clock = Engine(room=29), Clock()
    clock.now = 5.0
    with pytest.raises(QueueFull):
        asyncio.run(pooled(engine, clock, tokens=30).run("me", 60))
    assert engine.asked == [("me", 30, 65.0)]
    assert not engine.tasks
