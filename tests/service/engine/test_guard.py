"""Proofs, and what runs while somebody looks at the time."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from service.engine.engine import Engine
from service.engine.job import Step
from service.engine.runner import Runner, Running
from service.engine.watch import Watch
from service.errors import DeadlinePassed, NotServing
from tests.service.engine.doubling import Doubling, packed, tokens, with_engine

GOOD = packed(tokens(1))


def test_the_loop_waits_neither_for_a_proof_nor_to_let_go_of_what_was_begun() -> None:
    begun, go = threading.Event(), threading.Event()

    def proof() -> None:
        begun.set()
        go.wait(10)

    async def test(engine: Engine, session: Doubling) -> None:
        session.gate.clear()
        with pytest.raises(NotServing):
            await engine.predict("double", GOOD)  # it hangs, is stopped, and its model doubted
        while not begun.is_set():
            await asyncio.sleep(0.001)
        with pytest.raises(DeadlinePassed):  # which is forgotten while the proof runs
            await engine.predict("double", GOOD, timeout=0.05)
        assert not go.is_set()
        go.set()
        assert (await engine.predict("double", GOOD)).outputs["y"][0] == 2

    with_engine(test, step_seconds=0.3, proof=proof)


def test_time_counts_from_when_work_begins_and_not_from_when_it_was_handed_over() -> None:
    session = Doubling()
    runner, seen = Runner({"double": session}, time.perf_counter), list[Running | None]()
    before = time.monotonic()
    runner.prove("double", lambda: seen.append(runner.running))
    (running,) = seen
    assert running
    assert before <= running.since <= time.monotonic()
    assert running.thread == threading.get_ident()
    assert runner.running is None
    assert not runner.stop(running), "it is over"
    assert not session.stopped.is_set()


def test_a_step_is_what_runs_while_it_does() -> None:
    session = Doubling()
    runner, seen = Runner({"double": session}, time.perf_counter), list[object]()
    session.stop = lambda now=True: seen.append((now, runner.running))  # type: ignore[method-assign]
    step = Step("double", ())
    runner.run(step)
    assert seen == [(False, None)], "what was stopped before may run again"
    assert runner.running is None


def test_what_cannot_be_stopped_does_not_end_the_watch() -> None:
    told, both = list[str](), threading.Event()
    running = [Running("first", Step("first", ()), 0.0, 0)]

    def late(what: Running, times: int) -> None:
        told.append(what.model)
        if what.model == "second":
            both.set()
        running[0] = Running("second", Step("second", ()), 0.0, 0)
        raise KeyError(what.model)

    watch = Watch(0.01, lambda: running[0], late)
    assert both.wait(10)
    watch.close()
    assert told[:2] == ["first", "second"]
