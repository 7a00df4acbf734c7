"""Brief steps run on the event loop itself, and all that holds of a thread's holds of them."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
import pytest

from service.engine.engine import Engine
from service.errors import NotServing, QueueFull, StepFailed
from service.pack import Pack
from tests.service.engine.doubling import (
    POISON,
    Counted,
    Doubling,
    asked,
    packed,
    tokens,
    with_engine,
)

BRIEF = 10.0  # seconds: every step is
GOOD, BAD = packed(tokens(1)), packed(tokens(POISON))


def on_which(session: Doubling) -> list[threading.Thread]:
    """The threads that a session's runs are started on, from now on."""
    found, start = [], session.start

    def noting(pack: Pack) -> Any:
        found.append(threading.current_thread())
        return start(pack)

    session.start = noting  # type: ignore[method-assign]
    return found


def test_brief_steps_run_on_the_loop_packed_with_all_that_has_come() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        threads = on_which(session)
        requests = [packed(tokens(i), tokens(), tokens(i, i + 1)) for i in range(20)]
        for i, answer in enumerate(await asyncio.gather(*asked(engine, *requests))):
            np.testing.assert_array_equal(answer.outputs["y"], tokens(i, i, i + 1) * 2)
        assert set(threads) == {threading.main_thread()}
        assert max(map(len, session.packs)) == 60, "requests were not packed together"

    with_engine(test, budget=1000, bound=1000, brief_seconds=BRIEF)


def test_others_have_the_loop_between_steps() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        many = asked(engine, *[packed(tokens(*range(10)))] * 8)
        seen = set()
        while not all(one.done() for one in many):
            seen.add(len(session.packs))
            await asyncio.sleep(0)
        assert {1, 2, 3, 4, 5, 6, 7} <= seen

    with_engine(test, budget=10, brief_seconds=BRIEF)


def test_a_step_that_takes_long_runs_on_the_thread_and_the_loop_goes_on() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        threads, cost = on_which(session), engine.costs["double"].steps
        for _ in range(300):
            cost.observe(10, 1.0)
        session.gate.clear()
        waiting = asked(engine, packed(tokens(*range(10))))
        while not threads:
            await asyncio.sleep(0.001)
        session.gate.set()
        await asyncio.gather(*waiting)
        assert threading.main_thread() not in threads

    with_engine(test, brief_seconds=0.001)


def test_long_sequences_and_tasks_go_through_the_loop_too() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        threads = on_which(session)
        long = tokens(*range(500))
        answer, *_ = await asyncio.gather(*asked(engine, packed(long), *[GOOD] * 30))
        np.testing.assert_array_equal(answer.outputs["y"], long * 2)
        here = threading.current_thread
        answer = await engine.advance("double", 5, lambda: {"y": np.array([here().ident])})
        assert answer.outputs["y"][0] == threading.main_thread().ident
        assert set(threads) == {threading.main_thread()}

    with_engine(test, bound=5000, brief_seconds=BRIEF)


def test_only_the_guilty_fails_and_the_engine_goes_on() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        packs = [GOOD] * 10 + [BAD] + [GOOD] * 10
        found = await asyncio.gather(*asked(engine, *packs), return_exceptions=True)
        assert [i for i, one in enumerate(found) if isinstance(one, StepFailed)] == [10]
        assert (await engine.predict("double", GOOD)).outputs["y"][0] == 2

    with_engine(test, budget=100, brief_seconds=BRIEF)


def test_a_run_that_hangs_is_stopped_though_the_loop_hangs_with_it() -> None:
    proof = Counted()

    async def test(engine: Engine, session: Doubling) -> None:
        engine.readiness.started = True
        session.gate.clear()
        with pytest.raises(NotServing):
            await engine.predict("double", GOOD)
        await asyncio.sleep(0)
        assert "longer than 0.05 seconds" in engine.readiness.reason()
        while not engine.readiness.ready:
            await asyncio.sleep(0.01)
        assert (await engine.predict("double", GOOD)).outputs["y"][0] == 2
        assert proof.count == 1

    with_engine(test, step_seconds=0.05, proof=proof, brief_seconds=BRIEF)


def test_a_run_that_cannot_be_stopped_ends_the_process() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        left: list[int] = []

        def leave(code: int) -> None:
            left.append(code)
            session.gate.set()  # as the test goes on

        engine._guard._leave = leave
        session.stop = lambda now=True: None  # type: ignore[method-assign]
        session.gate.clear()
        await asyncio.gather(*asked(engine, GOOD), return_exceptions=True)
        assert left == [1]

    with_engine(test, step_seconds=0.03, brief_seconds=BRIEF)


def test_while_a_proof_runs_steps_wait_for_it_on_the_thread() -> None:
    begun, go = threading.Event(), threading.Event()

    def proof() -> None:
        begun.set()
        go.wait(10)

    async def test(engine: Engine, session: Doubling) -> None:
        threads = on_which(session)
        engine._guard.doubt("double")
        while not begun.is_set():
            await asyncio.sleep(0.001)
        waiting = asked(engine, GOOD)
        await asyncio.sleep(0.01)
        assert not threads
        go.set()
        await asyncio.gather(*waiting)
        assert threading.main_thread() not in threads

    with_engine(test, proof=proof, brief_seconds=BRIEF)


def test_what_has_come_in_one_go_is_bounded_too() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        found = await asyncio.gather(
            *asked(engine, *[packed(tokens(*range(10)))] * 30), return_exceptions=True
        )
        assert sum(isinstance(one, QueueFull) for one in found) == 20

    with_engine(test, budget=10, bound=100, brief_seconds=BRIEF)
