"""Tasks: work of one's own on the device, in turn with requests."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from service.engine.cost import Cost
from service.engine.engine import Engine
from service.engine.job import Job
from service.engine.scheduler import Scheduler
from service.errors import NotServing, StepFailed
from tests.service.engine.doubling import Doubling, a_moment, asked, packed, tokens, with_engine


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


class Known(Cost):
    """Whatever is observed, a short step is of so many tokens."""

    short = 700

    def tokens(self, seconds: float) -> int:
        return self.short


def test_tasks_run_in_steps_of_their_own_model_and_make_steps_short() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        engine.costs["double"].steps = Known()
        session.gate.clear()
        ran: list[int] = []

        def work() -> dict[str, np.ndarray]:
            ran.append(len(session.packs))
            return {"y": tokens(1)}

        ahead = asked(engine, *[packed(tokens(1))] * 2)
        await a_moment()
        task = asyncio.ensure_future(engine.advance("double", 2000, work))
        waiting = asked(engine, *[packed(tokens(*range(200))) for _ in range(30)])
        await a_moment()
        session.gate.set()
        await asyncio.gather(*ahead, *waiting, task)
        before = [sum(pack) for pack in session.packs[: ran[0]]]
        assert len(ran) == 1
        assert len(before) > len(ahead)
        assert max(before) <= Known.short, "a step was long while a task waited"

    with_engine(test, budget=4096, bound=100_000)


def test_a_scheduler_never_cuts_a_whole_sequence() -> None:
    queue = Scheduler(1000, long_tokens=100)
    queue.add(Job("m", [5000], whole=True))
    queue.add(Job("m", [5000]))
    steps = [queue.next_step() for _ in range(2)]
    assert [bool(step and step.parts) for step in steps] == [True, False]


def test_tasks_as_large_as_a_step_leave_long_sequences_every_other_one() -> None:
    queue = Scheduler(400, 400)
    queue.add(Job("m", [100_000], "patient"))
    for _ in range(20):
        queue.add(Job("m", [400], "stream", whole=True))
    steps = [queue.next_step() for _ in range(20)]
    assert sum(step.chunk is not None for step in steps if step) >= 9
    assert sum(bool(step.parts) for step in steps if step) >= 9
