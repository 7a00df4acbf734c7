from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from service.engine.engine import Engine
from service.engine.scheduler import Scheduler
from service.errors import NotServing, QueueFull, StepFailed
from service.manifest import Manifest
from service.pack import Array, Pack
from tests.service.fakes import BitByBit, manifest

POISON = 666.0


class Doubling:
    """A session that doubles its tokens, records its packs, and fails on poison."""

    def __init__(self) -> None:
        self.manifest: Manifest = manifest("double", width=1, per="token")
        self.packs: list[list[int]] = []
        self.starts = 0
        self.gate = threading.Event()
        self.gate.set()

    def run(self, pack: Pack) -> dict[str, Array]:
        self.gate.wait(10)
        self.packs.append(pack.lengths.tolist())
        if (pack.columns["x"] == POISON).any():
            raise RuntimeError("poisoned")
        return {"y": pack.columns["x"] * 2}

    def start(self, pack: Pack) -> BitByBit:
        self.gate.wait(10)
        self.starts += 1
        return BitByBit(self, pack)


def tokens(*values: float) -> Array:
    return np.array(values, np.float32)[:, None]


def packed(*sequences: Array) -> Pack:
    return Pack.of("x", sequences)


def with_engine(test: Callable[[Engine, Doubling], Any], budget: int = 10, bound: int = 100) -> Any:
    """Run an async test with an engine, and close it."""

    async def body() -> Any:
        session = Doubling()
        engine = Engine({"double": session}, Scheduler(budget, bound, budget))
        try:
            return await test(engine, session)
        finally:
            session.gate.set()
            await engine.close()

    return asyncio.run(body())


def test_each_request_gets_its_own_outputs_in_order() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        session.gate.clear()
        requests = [[tokens(i), tokens(), tokens(i, i + 1)] for i in range(20)]
        waiting = [asyncio.ensure_future(engine.predict("double", packed(*r))) for r in requests]
        await asyncio.sleep(0)
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
        await asyncio.sleep(0)
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
        waiting = [
            asyncio.ensure_future(engine.predict("double", packed(tokens(*range(10)))))
            for _ in range(4)
        ]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await engine.predict("double", packed(tokens(*range(10))))
        session.gate.set()
        await asyncio.gather(*waiting)
        await engine.predict("double", packed(tokens(*range(10))))

    with_engine(test, budget=10, bound=20)


def test_closing_fails_what_waits_and_finishes_what_runs() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        session.gate.clear()
        waiting = [
            asyncio.ensure_future(engine.predict("double", packed(tokens(*range(10)))))
            for _ in range(5)
        ]
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(engine.close())
        await asyncio.sleep(0)
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
        await asyncio.sleep(0)
        waiting[2].cancel()
        await asyncio.sleep(0)
        session.gate.set()
        await asyncio.gather(*waiting[:2])
        assert len(session.packs) == 2

    with_engine(test)


def test_times_are_those_of_the_injected_clock() -> None:
    async def body() -> None:
        ticks = iter([1.0, 1.5, 3.5])  # submitted, started, ended
        engine = Engine({"double": Doubling()}, Scheduler(10, 100, 10), clock=lambda: next(ticks))
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
        await asyncio.sleep(0)
        session.gate.set()
        await asyncio.gather(*waiting)
        assert session.packs == [[8], [9], [7], [6]]  # two were with the runner when the rest came

    with_engine(test)


def test_steps_are_counted() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        counted: list[tuple[str, int]] = []
        engine.ran = lambda model, sequences, seconds: counted.append((model, sequences))
        await engine.predict("double", packed(tokens(1), tokens(2, 3)))
        assert counted == [("double", 2)]

    with_engine(test)


def test_steps_teach_what_they_cost() -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        before = engine.costs["double"].weight
        await engine.predict("double", packed(tokens(*range(45))))
        assert engine.costs["double"].weight > before

    with_engine(test)
