"""What goes wrong harms nobody but who caused it, and the engine goes on."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from service.engine.engine import Engine
from service.engine.job import Step
from service.engine.runner import Runner, Running
from service.errors import NotServing, StepFailed
from tests.service.engine.doubling import (
    POISON,
    Counted,
    Doubling,
    a_moment,
    asked,
    packed,
    tokens,
    with_engine,
)

GOOD, BAD = packed(tokens(1)), packed(tokens(POISON))


def test_a_failed_step_is_run_again_in_halves_down_to_the_guilty_sequence() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        session.gate.clear()
        blocker = asked(engine, *[packed(tokens(*range(64)))] * 2)
        await a_moment()
        packs = [packed(tokens(i)) for i in range(31)]
        packs.insert(17, packed(tokens(1), tokens(2), tokens(POISON), tokens(3)))
        waiting = asked(engine, *packs)
        await a_moment()
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
        await a_moment()
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
        assert "longer than 0.3 seconds" in engine.readiness.reason()
        looked.set()
        passes.set()
        while not engine.readiness.ready:
            await asyncio.sleep(0.01)
        assert (await engine.predict("double", GOOD)).outputs["y"][0] == 2

    looked, passes = threading.Event(), threading.Event()

    def proof() -> None:
        looked.wait(10)
        if not passes.is_set():
            raise AssertionError("no")

    with_engine(test, step_seconds=0.3, proof=proof)


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
        engine._guard._prover._seconds = 0.01
        with pytest.raises(StepFailed):
            await engine.predict("double", BAD)
        while engine.readiness.ready:
            await asyncio.sleep(0)
        assert "golden inputs" in engine.readiness.reason()
        assert "1e9" not in engine.readiness.reason(), "what is inside is for the log"
        broken = False
        while not engine.readiness.ready:
            await asyncio.sleep(0.01)

    with_engine(test, proof=proof)


def test_a_guilty_input_leaves_a_model_ready() -> None:
    proof = Counted()

    async def test(engine: Engine, session: Doubling) -> None:
        engine.readiness.started = True
        for _ in range(5):
            with pytest.raises(StepFailed):
                await engine.predict("double", BAD)
            assert engine.readiness.ready
        await engine.predict("double", GOOD)
        assert proof.count == 1, "whoever sends what fails keeps the device busy with proofs"

    with_engine(test, proof=proof)


def test_a_mistake_in_the_engine_itself_fails_a_step_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(engine._executor._runner, "run", lambda step: 1 / 0)
            with pytest.raises(StepFailed, match="internal error"):
                await engine.predict("double", GOOD)
        assert (await engine.predict("double", GOOD)).outputs["y"][0] == 2

    with_engine(test)


def test_a_model_that_is_doubted_again_right_after_its_proof_is_proved_again() -> None:
    proof = Counted()

    async def test(engine: Engine, session: Doubling) -> None:
        engine.readiness.started = True
        prover = engine._guard._prover
        prover._seconds = 0.2
        prover.doubt("double", "once")
        while not engine.readiness.ready:
            await asyncio.sleep(0)
        prover.doubt("double", "and again")
        while not engine.readiness.ready:
            await asyncio.sleep(0.01)
        assert proof.count == 2

    with_engine(test, proof=proof)


def test_only_what_runs_is_stopped_and_the_next_goes_on() -> None:
    runner = Runner({"double": Doubling()}, lambda: 0.0)
    session = runner._sessions["double"]
    assert isinstance(session, Doubling)
    assert not runner.stop(Running("double", Step("double", ()), 0.0, 0))
    assert not session.stopped.is_set()


def test_one_input_that_no_memory_is_enough_for_makes_no_step_smaller() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        session.most = 2
        with pytest.raises(StepFailed):
            await engine.predict("double", packed(tokens(1, 2, 3)))
        assert engine._scheduler.budget.tokens == 1024

    with_engine(test, budget=1024)


def test_what_was_started_for_a_request_that_failed_is_let_go() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        long, bad = tokens(*[1] * 500), tokens(POISON)
        with pytest.raises(StepFailed):
            await engine.predict("double", packed(long, bad))
        await engine.predict("double", GOOD)
        assert not engine._executor._runner._started

    with_engine(test, bound=5000)


def test_closing_answers_those_that_wait_behind_a_step_that_does_not_end() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        session.stop = lambda now=True: None  # type: ignore[method-assign]
        session.gate.clear()
        waiting = asked(engine, *[packed(tokens(*range(10)))] * 5)
        await a_moment()
        await engine.close()
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(one, NotServing) for one in found)

    with_engine(test, step_seconds=0.05)
