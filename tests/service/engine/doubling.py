"""An engine over a session that doubles its tokens."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from service.engine.engine import Engine
from service.engine.policy import Policy
from service.engine.scheduler import Scheduler
from service.manifest import Manifest
from service.pack import Array, Pack
from tests.service.fakes import BitByBit, manifest

POISON = 666.0


class Doubling:
    """Records its packs, fails on poison, waits at its gate, and stops when told to."""

    def __init__(self) -> None:
        self.manifest: Manifest = manifest("double", width=1, per="token")
        self.packs: list[list[int]] = []
        self.starts = 0
        self.most = 10**9  # tokens that it has memory for
        self.error: Exception = RuntimeError("poisoned")
        self.gate = threading.Event()
        self.stopped = threading.Event()
        self.gate.set()

    def run(self, pack: Pack) -> dict[str, Array]:
        self.gate.wait(10)
        if self.stopped.is_set():
            self.stopped.clear()
            raise RuntimeError("exiting due to terminate flag")
        self.packs.append(pack.lengths.tolist())
        if pack.tokens > self.most:
            raise RuntimeError("BFCArena: Failed to allocate memory for requested buffer")
        if (pack.columns["x"] == POISON).any():
            raise self.error
        return {"y": pack.columns["x"] * 2}

    def start(self, pack: Pack) -> BitByBit:
        self.gate.wait(10)
        self.starts += 1
        return BitByBit(self, pack)

    def stop(self, now: bool = True) -> None:
        if now:
            self.stopped.set()
            self.gate.set()


class Counted:
    """A proof that passes, and counts how often it was asked for."""

    count = 0

    def __call__(self) -> None:
        self.count += 1


def tokens(*values: float) -> Array:
    return np.array(values, np.float32)[:, None]


def packed(*sequences: Array) -> Pack:
    return Pack.of("x", sequences)


def with_engine(
    test: Callable[[Engine, Doubling], Any],
    budget: int = 10,
    bound: int = 100,
    proof: Callable[[], object] | None = None,
    **policy: Any,
) -> Any:
    """Run an async test with an engine, within its time, and close it."""

    async def body() -> Any:
        session = Doubling()
        engine = Engine(Scheduler(budget, budget), Policy(bound, **policy))
        engine.add("double", session, proof)
        try:
            async with asyncio.timeout(20):
                return await test(engine, session)
        finally:
            session.gate.set()
            await engine.close()

    return asyncio.run(body())


def asked(engine: Engine, *requests: Pack, **how: Any) -> list[asyncio.Future[Any]]:
    """Requests on their way."""
    return [asyncio.ensure_future(engine.predict("double", pack, **how)) for pack in requests]


async def a_moment() -> None:
    """Until what was asked is on its way, if there is room."""
    for _ in range(3):
        await asyncio.sleep(0)
