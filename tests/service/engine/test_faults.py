"""What goes wrong harms nobody but who caused it, and the engine goes on."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from service.engine.engine import Engine
from service.engine.scheduler import Scheduler
from service.errors import NotServing, StepFailed
from tests.service.engine.doubling import POISON, Doubling, asked, packed, tokens, with_engine

GOOD, BAD = packed(tokens(1)), packed(tokens(POISON))


def test_a_failed_step_is_run_again_in_halves_down_to_the_guilty_sequence() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        session.gate.clear()
        blocker = asked(engine, *[packed(tokens(*range(64)))] * 2)
        await asyncio.sleep(0)
        packs = [packed(tokens(i)) for i in range(31)]
        packs.insert(17, packed(tokens(1), tokens(2), tokens(POISON), tokens(3)))
        waiting = asked(engine, *packs)
        await asyncio.sleep(0)
        session.gate.set()
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert [i for i, one in enumerate(found) if isinstance(one, StepFailed)] == [17]
        assert str(found[17]).startswith("sequence 2:")
        runs = [pack for pack in session.packs if sum(pack) != 64]
        assert len(runs) <= 1 + 2 * 7, "a few runs for one guilty of 35"
        await asyncio.gather(*blocker)

    with_engine(test, budget=64, bound=1000)


def test_out_of_memory_makes_steps_smaller_and_loses_nothing() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        session.most = 300
        session.gate.clear()
        waiting = asked(engine, *[packed(tokens(*range(100))) for _ in range(20)])
        await asyncio.sleep(0)
        session.gate.set()
        for answer in await asyncio.gather(*waiting):
            np.testing.assert_array_equal(answer.outputs["y"], tokens(*range(0, 200, 2)))
        assert engine._scheduler.budget.tokens < 1024
        tried = len(session.packs)
        await asyncio.gather(*asked(engine, *[GOOD] * 3))
        assert all(sum(pack) <= 300 for pack in session.packs[tried:])

    with_engine(test, budget=1024, bound=10_000)


def test_a_run_that_hangs_is_stopped_and_its_requests_told_to_come_again() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        engine.readiness.started = True
        session.gate.clear()
        with pytest.raises(NotServing):
            await engine.predict("double", GOOD)
        assert not engine.readiness.ready
        assert "longer than 0.05 seconds" in engine.readiness.reason()
        passes.set()
        while not engine.readiness.ready:
            await asyncio.sleep(0.01)
        assert (await engine.predict("double", GOOD)).outputs["y"][0] == 2

    passes = asyncio.Event()

    def proof() -> None:
        if not passes.is_set():
            raise AssertionError("no")

    with_engine(test, step_seconds=0.05, proof=proof)


def test_a_run_that_cannot_be_stopped_makes_the_process_useless() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        session.stop = lambda now=True: None  # type: ignore[method-assign]
        session.gate.clear()
        waiting = asked(engine, GOOD)
        while not engine.readiness.stuck:
            await asyncio.sleep(0.01)
        session.gate.set()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert not engine.readiness.stuck

    with_engine(test, step_seconds=0.03)


def test_a_model_whose_golden_inputs_fail_too_is_not_ready_until_they_pass() -> None:
    broken = True

    def proof() -> None:
        if broken:
            raise ArithmeticError("off by 1e9")

    async def test(engine: Engine, session: Doubling) -> None:
        nonlocal broken
        engine.readiness.started = True
        engine._prover._seconds = 0.01
        with pytest.raises(StepFailed):
            await engine.predict("double", BAD)
        while engine.readiness.ready:
            await asyncio.sleep(0)
        assert "off by 1e9" in engine.readiness.reason()
        broken = False
        while not engine.readiness.ready:
            await asyncio.sleep(0.01)

    with_engine(test, proof=proof)


def test_a_guilty_input_leaves_a_model_ready() -> None:
    proofs = 0

    def proof() -> None:
        nonlocal proofs
        proofs += 1

    async def test(engine: Engine, session: Doubling) -> None:
        engine.readiness.started = True
        for _ in range(5):
            with pytest.raises(StepFailed):
                await engine.predict("double", BAD)
            assert engine.readiness.ready
        await engine.predict("double", GOOD)
        assert proofs == 1, "whoever sends what fails keeps the device busy with proofs"

    with_engine(test, proof=proof)


def test_a_mistake_in_the_engine_itself_fails_a_step_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(engine._runner, "run", lambda step: 1 / 0)
            with pytest.raises(StepFailed, match="internal error"):
                await engine.predict("double", GOOD)
        assert (await engine.predict("double", GOOD)).outputs["y"][0] == 2

    with_engine(test)


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
        assert max(map(sum, session.packs[2:])) <= max(short, 4096)

    with_engine(test, budget=4096, bound=100_000)


def test_a_scheduler_never_cuts_a_whole_sequence() -> None:
    from service.engine.job import Job

    queue = Scheduler(1000, long_tokens=100)
    queue.add(Job("m", [5000], whole=True))
    queue.add(Job("m", [5000]))
    steps = [queue.next_step() for _ in range(2)]
    assert [bool(step and step.parts) for step in steps] == [True, False]
