"""Models that go while something of them still runs."""

from __future__ import annotations

import asyncio
import threading

import pytest

from service.engine.engine import Engine
from service.errors import DeadlinePassed
from tests.service.engine.doubling import (
    POISON,
    Counted,
    Doubling,
    a_moment,
    packed,
    tokens,
    with_engine,
)

BAD, GOOD = packed(tokens(POISON)), packed(tokens(1))


def test_what_fails_while_it_is_let_go_is_not_missed() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        engine.readiness.started = True
        session.gate.clear()
        with pytest.raises(DeadlinePassed):
            await engine.predict("double", BAD, timeout=0.05)  # its step hangs, and then fails
        removing = asyncio.create_task(engine.remove("double"))
        await a_moment()
        session.gate.set()
        await removing
        await asyncio.sleep(0.02)
        assert engine.readiness.ready
        assert not engine._guard._prover._tasks

    with_engine(test, proof=Counted())


def test_a_proof_that_still_runs_is_waited_for_and_nothing_runs_beside_it() -> None:
    begun, go = threading.Event(), threading.Event()

    def proof() -> None:
        begun.set()
        go.wait(10)

    async def test(engine: Engine, session: Doubling) -> None:
        other = Doubling()
        engine.add("other", other)
        engine._guard.doubt("double")
        while not begun.is_set():
            await asyncio.sleep(0.001)
        removing = asyncio.create_task(engine.remove("double"))
        waiting = asyncio.create_task(engine.predict("other", GOOD))
        await asyncio.sleep(0.02)
        assert (removing.done(), other.packs) == (False, [])
        go.set()
        await asyncio.gather(removing, waiting)
        assert [*engine.costs] == ["other"]

    with_engine(test, proof=proof, brief_seconds=1.0)


def test_a_model_is_let_go_though_others_always_have_something_to_run() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        other = Doubling()
        engine.add("other", other)
        ended = asyncio.Event()

        async def ask() -> None:
            while not ended.is_set():
                await engine.predict("other", GOOD)

        asking = [asyncio.create_task(ask()) for _ in range(4)]
        await a_moment()
        await engine.remove("double")
        ended.set()
        await asyncio.gather(*asking)
        assert [*engine.costs] == ["other"]

    with_engine(test)
