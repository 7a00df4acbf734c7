"""The work on a pooled model's explanation, in the engine's turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from service.engine.cost import Cost, Costs
from service.engine.expected import Expected, Rest
from service.engine.job import DEFAULT_PRIORITY, Job
from service.engine.request import Answer
from service.errors import QueueFull, StepFailed
from service.explain.omissions import ANSWER, CONTRIBUTION, Omissions
from service.explain.pooled import FEWEST, Pooled
from service.explain.subject import explained
from service.manifest import Output
from service.settings import Settings
from tests.service.explain.conftest import Serving
from tests.service.explain.models import sequences

OUTPUTS = (Output(name="y", per="sequence", width=1),)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Bits(Omissions):
    """Ten bits of a second each, and of a hundred units. full: of as many rows as may be."""

    def __init__(self, clock: Clock, fails: int = -1, full: bool = True) -> None:
        self.left, self.last, self._clock, self._fails = 1000, ANSWER, clock, fails
        self.most, self._full = {CONTRIBUTION: 1024, ANSWER: 1024}, full

    def work(self) -> Iterator[None]:
        for bit in range(10):
            assert bit != self._fails
            self.left -= 100
            self.rows = self.most[ANSWER] if self._full else 1
            self._clock.now += 1
            yield

    @property
    def outputs(self) -> dict[str, Any]:
        return {"y": np.ones((1, 1), np.float32)}

    @property
    def without(self) -> dict[str, Any]:
        return {}


class Engine:
    """Runs tasks as they come. rests: what was still to come beside each of them."""

    def __init__(self, room: int = 1000) -> None:
        self.tasks: list[tuple[int, str]] = []
        self.rests: list[int] = []
        self.asked: list[tuple[str, int, float]] = []
        self.priorities: set[int] = set()
        self.expected, self.costs = Expected(), {"m": Costs(Cost(), [])}
        self._room = room

    def admit(self, job: Job) -> Rest:
        self.asked.append((job.client, job.cost, job.deadline))
        self.priorities.add(job.priority)
        if job.cost > self._room:
            raise QueueFull("full")
        return self.expected.rest(job)

    async def advance(
        self, model: str, tokens: int, task: Callable[[], Any], priority: int, client: str
    ) -> Answer:
        self.tasks.append((tokens, client))
        self.rests.append(self.expected.of(client))
        self.priorities.add(priority)
        try:
            task()
        except AssertionError as error:
            raise StepFailed("failed") from error
        return Answer({}, 7.0 * len(self.tasks), 1.0)


def pooled(
    engine: Any,
    clock: Clock,
    tokens: int = 10,
    bits: Omissions | None = None,
    **own: object,
) -> Pooled:
    settings = Settings.model_validate({"shared_ms": 3000, **own})
    return Pooled(engine, settings, "m", bits or Bits(clock), OUTPUTS, tokens, clock)


def test_a_task_ends_when_its_time_is_up_and_counts_as_so_many_tokens() -> None:
    engine, clock = Engine(), Clock()
    found = asyncio.run(pooled(engine, clock).run("me", 60))
    assert engine.tasks == [(500, "me"), (150, "me"), (150, "me"), (50, "me")]
    assert (found.queue_ms, found.compute_ms) == (7.0, 10_000.0)
    assert found.without["y"].shape == (0, 1)


def test_what_no_task_has_yet_is_expected_until_it_is_over() -> None:
    engine = Engine()
    asyncio.run(pooled(engine, Clock()).run("me", 60))
    assert engine.rests == [0, 200, 50, 0]
    assert not engine.expected.waiting()


def test_what_fails_is_expected_no_more() -> None:
    engine, clock = Engine(), Clock()
    with pytest.raises(StepFailed):
        asyncio.run(pooled(engine, clock, bits=Bits(clock, fails=4)).run("me", 60))
    assert engine.rests == [0, 200]
    assert not engine.expected.waiting()


@pytest.mark.parametrize("priority", [7, DEFAULT_PRIORITY])
def test_all_of_it_has_its_priority(priority: int) -> None:
    engine = Engine()
    asyncio.run(pooled(engine, Clock()).run("me", 60, priority))
    assert engine.priorities == {priority}


@pytest.mark.parametrize(("shared_ms", "most"), [(500, 16), (2000, 1024), (9000, 4096)])
def test_bits_become_as_long_as_suits_a_task(shared_ms: int, most: int) -> None:
    engine = Engine()
    made = pooled(engine, Clock(), shared_ms=shared_ms)
    asyncio.run(made.run("me", 60))
    assert made.omissions.most == {CONTRIBUTION: 1024, ANSWER: most}
    assert engine.costs["m"].answers == most, "the model's next one begins with it"


def test_a_bit_that_was_not_full_says_nothing_of_larger_ones() -> None:
    clock = Clock()
    made = pooled(Engine(), clock, bits=Bits(clock, full=False), shared_ms=9000)
    asyncio.run(made.run("me", 60))
    assert made.omissions.most == {CONTRIBUTION: 1024, ANSWER: 1024}


def test_the_first_answers_are_few_and_those_of_the_next_one_as_many_as_were_found_to_suit(
    serving: Serving,
) -> None:
    async def test() -> None:
        served = serving(shared_ms=10_000)
        own = served.catalog.find("pooled")
        about = served.engine, served.settings, own, explained(own.manifest)
        for few in (FEWEST, 2 * FEWEST):
            made = Pooled.of(*about, sequences(own.manifest, [40]))
            assert made is not None
            assert made.omissions.most[ANSWER] == few
            await made.run("me", 60)

    asyncio.run(test())


def test_what_fails_ends_it() -> None:
    engine, clock = Engine(), Clock()
    with pytest.raises(StepFailed):
        asyncio.run(pooled(engine, clock, bits=Bits(clock, fails=4)).run("me", 60))
    assert len(engine.tasks) == 2


def test_a_full_queue_takes_none() -> None:
    engine, clock = Engine(room=29), Clock()
    clock.now, admitted = 5.0, list[float]()

    def charge() -> None:
        admitted.append(clock.now)

    with pytest.raises(QueueFull):
        asyncio.run(pooled(engine, clock, tokens=30).run("me", 60, admitted=charge))
    assert engine.asked == [("me", 30, 65.0)]
    assert not engine.tasks
    assert not admitted, "who is refused is not charged"
    asyncio.run(pooled(engine, clock, tokens=29).run("me", 60, admitted=charge))
    assert admitted == [5.0]
