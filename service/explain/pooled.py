"""Explains with pooled models: the work of `omissions`, in turn with others' steps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from service.catalog import Served
from service.engine.engine import Engine
from service.engine.expected import Rest
from service.engine.job import DEFAULT_PRIORITY, Job
from service.engine.request import Outputs
from service.errors import DeadlinePassed
from service.explain.found import Found
from service.explain.omissions import ANSWER, CONTRIBUTION, UNITS, Omissions
from service.manifest import Output
from service.pack import BLOCK, Pack
from service.settings import Settings

TIMES = (CONTRIBUTION + ANSWER) // UNITS  # predictions that it counts as
LEAST_TOKENS, MOST_TOKENS = 256, 4096  # of a bit of the work, when it begins
FEWEST = 16  # of one that takes long, and of answers as long as nothing is known of them
BRIEF = 0.4  # of the time of a task: twice as much is still less than all of it
BITS = 2  # in the time of a task


@dataclass(slots=True)
class Pooled:
    """Of one request. It has one task with the engine at a time, which ends when its time is up."""

    engine: Engine
    settings: Settings
    model: str
    omissions: Omissions
    outputs: tuple[Output, ...]
    run_tokens: int  # that it counts as
    clock: Callable[[], float] = time.perf_counter
    _work: Iterator[None] = field(init=False)
    _done: bool = field(default=False, init=False)
    _units: int = field(init=False)  # that a task is expected to get done
    _compute_ms: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._work, self._units = (
            self.omissions.work(),
            CONTRIBUTION * self.omissions.most[CONTRIBUTION],
        )

    @classmethod
    def of(
        cls,
        engine: Engine,
        settings: Settings,
        served: Served,
        outputs: tuple[Output, ...],
        pack: Pack,
    ) -> Pooled | None:
        """None where the model takes runs of all the other tokens."""
        stage = engine.costs[served.id].stages[0]
        most = stage.tokens(settings.shared_ms / 1e3 / BITS) // BLOCK * BLOCK
        omissions = served.session.omissions(pack, min(max(most, LEAST_TOKENS), MOST_TOKENS))
        if omissions is None:
            return None
        omissions.most[ANSWER] = engine.costs[served.id].answers or FEWEST
        tokens = int(np.maximum(pack.lengths, 1).sum())  # an empty sequence takes a place
        return cls(engine, settings, served.id, omissions, outputs, TIMES * tokens)

    @property
    def bytes(self) -> int:
        """What is held until it is answered, besides the input."""
        return self.omissions.bytes + 4 * self.run_tokens * sum(o.width for o in self.outputs)

    async def run(
        self,
        client: str,
        timeout: float,
        priority: int = DEFAULT_PRIORITY,
        admitted: Callable[[], None] = lambda: None,
    ) -> Found:
        """Raises QueueFull, DeadlinePassed, and what the engine and ``admitted`` do, which is
        called once it is let in.
        """
        deadline = self.clock() + timeout
        job = Job(self.model, [self.run_tokens], client, priority, deadline=deadline)
        with self.engine.admit(job) as rest:
            admitted()
            try:
                async with asyncio.timeout(timeout) as limit:
                    queue_ms = await self._through(rest)
            except TimeoutError as error:
                if not limit.expired():
                    raise
                raise DeadlinePassed(f"not answered within {timeout:g} seconds") from error
        none = {o.name: np.zeros((0, o.width), np.float32) for o in self.outputs}
        without = none | self.omissions.without
        return Found(self.omissions.outputs, without, queue_ms, self._compute_ms)

    async def _through(self, rest: Rest) -> float:
        """Task by task; the milliseconds until the first one was run. rest: what none has yet."""
        waited: list[float] = []
        while not self._done:
            share = self._share()
            rest.tokens = max(0, self.omissions.left // UNITS - share)
            about = self.model, share, self._some, rest.job.priority, rest.job.client
            answer = await self.engine.advance(*about)
            waited.append(answer.queue_ms)
        return waited[0]

    @property
    def _seconds(self) -> float:
        """Of a task."""
        return self.settings.shared_ms / 1e3

    def _share(self) -> int:
        """Tokens of predictions that would take as long as the next task, if that gets as much done
        as the one before it.

        It goes by the work, not by the learned cost: that learns from tasks too, and each would
        confirm the other's error.
        """
        return max(1, min(self._units, self.omissions.left) // UNITS)

    def _some(self) -> Outputs:
        """As a task: go on with the work until the time is up."""
        began, left = self.clock(), self.omissions.left
        before = began
        for _ in self._work:
            now = self.clock()
            self._pace(now - before)
            before = now
            if now - began >= self._seconds:
                break
        else:
            self._done = True
        self._units = left - self.omissions.left
        self._compute_ms += (self.clock() - began) * 1e3
        return {}

    def _pace(self, seconds: float) -> None:
        """Smaller bits where one takes as long as a task may, larger where a full one is brief.

        What is found of answers holds for the model's next explanation as well.
        """
        most, kind, rows = self.omissions.most, self.omissions.last, self.omissions.rows
        if seconds > self._seconds:
            most[kind] = max(most[kind] // 2, FEWEST)
        elif seconds < BRIEF * self._seconds and rows == most[kind]:
            most[kind] = min(most[kind] * 2, MOST_TOKENS)
        if kind == ANSWER:
            self.engine.costs[self.model].answers = most[kind]
