"""Sequences too long for a step: bit by bit, once, and out of the way of others."""

from __future__ import annotations

import asyncio

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.engine.engine import Engine
from service.engine.job import Job
from service.engine.scheduler import Scheduler
from service.errors import StepFailed
from tests.service.engine.doubling import POISON, Doubling, a_moment, packed, tokens, with_engine
from tests.service.engine.test_engine import Counting


def test_long_sequences_go_bit_by_bit_and_come_back_in_their_place() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        sequences = [tokens(*range(n)) for n in (3, 45, 2, 31, 4)]
        answer = await engine.predict("double", packed(*sequences))
        np.testing.assert_array_equal(answer.outputs["y"], np.concatenate(sequences) * 2)
        assert sorted(map(sum, session.packs)) == [9, 31, 45]
        await engine.predict("double", packed(tokens(1)))
        assert session.starts == 2 + 2  # the long ones, and the short ones of each request
        assert not sum(engine.queued().values())

    with_engine(test)


def test_a_short_request_overtakes_a_long_one() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        session.gate.clear()
        long = asyncio.ensure_future(engine.predict("double", packed(tokens(*[1] * 1000))))
        await a_moment()
        short = asyncio.ensure_future(engine.predict("double", packed(tokens(1, 2))))
        await a_moment()
        session.gate.set()
        await short
        assert not long.done()
        assert len((await long).outputs["y"]) == 1000

    with_engine(test, bound=5000)


@given(st.integers(1, 2000), st.integers(256, 2000))
def test_whatever_comes_beside_a_long_sequence_has_its_turn(length: int, most: int) -> None:
    queue = Scheduler(16_384, long_tokens=4096)
    queue.add(Job("m", [10**9], client="long"))
    queue.next_step()
    job, other = Job("m", [length], client="a"), Job("m", [20], client="b")
    queue.add(job)
    queue.add(other)
    for _ in range(20):
        queue.next_step(0.0, lambda *_: most)
    assert (job.left, other.left) == (0, 0)


def test_a_long_sequence_that_fails_fails_alone() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        bad = asyncio.ensure_future(engine.predict("double", packed(tokens(*[POISON] * 40))))
        good = asyncio.ensure_future(engine.predict("double", packed(tokens(*range(40)))))
        found = await asyncio.gather(bad, good, return_exceptions=True)
        assert [isinstance(f, StepFailed) for f in found] == [True, False]

    with_engine(test)


def test_a_long_sequence_that_nobody_awaits_goes_no_further() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        counting = Counting()
        engine.observers.append(counting)
        session.gate.clear()
        waiting = asyncio.ensure_future(engine.predict("double", packed(tokens(*range(1000)))))
        await a_moment()
        waiting.cancel()
        await a_moment()
        session.gate.set()
        await engine.predict("double", packed(tokens(1)))
        assert len(counting.steps) <= 3

    with_engine(test, bound=5000)
