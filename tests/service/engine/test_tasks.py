"""Tasks: work of one's own on the device, in turn with requests."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from service.engine.engine import Engine
from service.engine.job import Job
from service.engine.scheduler import Scheduler
from service.errors import NotServing, StepFailed
from tests.service.engine.doubling import Doubling, asked, packed, tokens, with_engine


def test_a_task_has_its_turn_among_requests_and_its_own_errors() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        def fails() -> dict[str, np.ndarray]:
            raise ValueError("inside")

        def refuses() -> dict[str, np.ndarray]:
            raise NotServing("in words")

        found = await engine.advance("double", 50, lambda: {"y": tokens(1)})
        assert found.outputs["y"].tolist() == [[1]]
        with pytest.raises(StepFailed) as caught:
            await engine.advance("double", 5, fails)
        assert "inside" not in str(caught.value)
        with pytest.raises(NotServing, match="in words"):
            await engine.advance("double", 5, refuses)
        assert engine._tasks == 0

    with_engine(test)


def test_tasks_run_in_steps_of_their_own_model_and_make_steps_short() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        engine.costs.steps["double"].observe(1000, 1.0)
        short = max(256, engine.costs.steps["double"].tokens(0.004))
        session.gate.clear()
        ran: list[int] = []

        def work() -> dict[str, np.ndarray]:
            ran.append(1)
            return {"y": tokens(1)}

        task = asyncio.ensure_future(engine.advance("double", 2000, work))
        waiting = asked(engine, *[packed(tokens(*range(200))) for _ in range(30)])
        await asyncio.sleep(0)
        session.gate.set()
        await asyncio.gather(*waiting, task)
        assert ran == [1]
        assert max(map(sum, session.packs[2:])) <= short < 4096

    with_engine(test, budget=4096, bound=100_000)


def test_a_scheduler_never_cuts_a_whole_sequence() -> None:
    queue = Scheduler(1000, long_tokens=100)
    queue.add(Job("m", [5000], whole=True))
    queue.add(Job("m", [5000]))
    steps = [queue.next_step() for _ in range(2)]
    assert [bool(step and step.parts) for step in steps] == [True, False]
