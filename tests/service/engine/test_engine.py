from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from service.engine.engine import Engine
from service.engine.job import Step
from service.engine.observer import Observer
from service.engine.policy import Policy
from service.engine.runner import Outcome
from service.engine.scheduler import Scheduler
from service.errors import NotServing, QueueFull, StepFailed
from tests.service.engine.doubling import (
    POISON,
    Doubling,
    a_moment,
    asked,
    packed,
    tokens,
    with_engine,
)


class Counting(Observer):
    def __init__(self) -> None:
        self.steps: list[tuple[str, int]] = []
        self.left = 0

    def ran(self, step: Step, outcome: Outcome) -> None:
        self.steps.append((step.model, step.sequences))

    def abandoned(self, model: str, tokens: int) -> None:
        self.left += tokens


def test_each_request_gets_its_own_outputs_in_order() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        session.gate.clear()
        requests = [[tokens(i), tokens(), tokens(i, i + 1)] for i in range(20)]
        waiting = [asyncio.ensure_future(engine.predict("double", packed(*r))) for r in requests]
        await a_moment()
        session.gate.set()
        for request, answer in zip(requests, await asyncio.gather(*waiting), strict=True):
            np.testing.assert_array_equal(answer.outputs["y"], np.concatenate(request) * 2)
        assert max(map(len, session.packs)) > 3, "requests were never packed together"

    with_engine(test)


def test_a_request_larger_than_the_budget_is_put_together_from_its_steps() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        sequences = [tokens(*range(n)) for n in (7, 8, 30, 1)]
        answer = await engine.predict("double", packed(*sequences))
        assert len(session.packs) > 2
        np.testing.assert_array_equal(answer.outputs["y"], np.concatenate(sequences) * 2)

    with_engine(test)


def test_a_request_that_fails_fails_alone() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        session.gate.clear()
        requests = [[tokens(1)], [tokens(2)], [tokens(POISON)], [tokens(3)]]
        waiting = [asyncio.ensure_future(engine.predict("double", packed(*r))) for r in requests]
        await a_moment()
        session.gate.set()
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert [isinstance(f, StepFailed) for f in found] == [False, False, True, False]
        assert (await engine.predict("double", packed(tokens(4)))).outputs["y"][0] == 8

    with_engine(test)


def test_the_error_of_a_failed_request_tells_nothing_of_the_inside() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        with pytest.raises(StepFailed) as caught:
            await engine.predict("double", packed(tokens(POISON)))
        assert "poisoned" not in str(caught.value)

    with_engine(test)


def test_a_full_queue_refuses_and_then_takes_again() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        session.gate.clear()
        ten = packed(tokens(*range(10)))
        running = asked(engine, ten, ten)
        await a_moment()
        waiting = asked(engine, ten, ten)
        await a_moment()
        with pytest.raises(QueueFull):
            await engine.predict("double", ten)
        session.gate.set()
        await asyncio.gather(*running, *waiting)
        await engine.predict("double", ten)

    with_engine(test, budget=10, bound=20)


def test_closing_fails_what_waits_and_finishes_what_runs() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        session.gate.clear()
        waiting = [
            asyncio.ensure_future(engine.predict("double", packed(tokens(*range(10)))))
            for _ in range(5)
        ]
        await a_moment()
        closing = asyncio.ensure_future(engine.close())
        await a_moment()
        session.gate.set()
        await closing
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert [isinstance(f, NotServing) for f in found] == [False, False, True, True, True]
        with pytest.raises(NotServing):
            await engine.predict("double", packed(tokens(1)))

    with_engine(test)


def test_a_cancelled_request_leaves_the_queue() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        session.gate.clear()
        waiting = [
            asyncio.ensure_future(engine.predict("double", packed(tokens(*range(10)))))
            for _ in range(3)
        ]
        await a_moment()
        waiting[2].cancel()
        await a_moment()
        session.gate.set()
        await asyncio.gather(*waiting[:2])
        assert len(session.packs) == 2

    with_engine(test)


def test_times_are_those_of_the_injected_clock() -> None:
    async def body() -> None:
        main, ticks = threading.current_thread(), iter([1.5, 3.5])  # the runner's

        def clock() -> float:
            return 1.0 if threading.current_thread() is main else next(ticks)

        engine = Engine(Scheduler(10, 10), Policy(100), clock=clock)
        engine.add("double", Doubling())
        answer = await engine.predict("double", packed(tokens(1)))
        await engine.close()
        assert (answer.queue_ms, answer.compute_ms) == (500.0, 2000.0)

    asyncio.run(body())


def test_a_higher_priority_goes_first() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        session.gate.clear()
        sizes = {8: 5, 9: 3, 7: 1, 6: 2}
        waiting = [
            asyncio.ensure_future(engine.predict("double", packed(tokens(*range(n))), priority))
            for n, priority in sizes.items()
        ]
        await a_moment()
        session.gate.set()
        await asyncio.gather(*waiting)
        assert session.packs == [[7], [6], [9], [8]]

    with_engine(test)


def test_steps_are_counted_and_so_is_what_is_abandoned() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        counting = Counting()
        engine.observers.append(counting)
        await engine.predict("double", packed(tokens(1), tokens(2, 3)))
        assert counting.steps == [("double", 2)]
        session.gate.clear()
        packs = [packed(tokens(*range(10))) for _ in range(3)]
        waiting = [asyncio.ensure_future(engine.predict("double", pack)) for pack in packs]
        await a_moment()
        waiting[2].cancel()
        await a_moment()
        assert counting.left == 10

    with_engine(test)


def test_steps_teach_what_they_cost_in_all_and_by_stage() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        own = engine.costs["double"]
        costs = own.steps, *own.stages
        before = [cost.weight for cost in costs]
        await engine.predict("double", packed(tokens(*range(45))))
        assert all(cost.weight > weight for cost, weight in zip(costs, before, strict=True))

    with_engine(test)
