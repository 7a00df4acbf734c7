"""Brings a stream's pieces to the engine in order, two at a time."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from functools import partial
from typing import Protocol, TypeVar

from service.engine.request import Answer, Outputs, Task
from service.stages import Feeds
from service.streams.walk import Found, Walk

AHEAD = 2  # pieces with the engine: the one that runs and the one that waits

T = TypeVar("T")


class Advances(Protocol):
    """What is needed of the engine."""

    async def advance(self, model: str, tokens: int, task: Task, *, client: str) -> Answer:
        """Run a task where steps run when its turn comes."""


class Belt:
    """Runs a walk's pieces. queue_ms: until the first began; compute_ms: of all, without others."""

    def __init__(self, engine: Advances, model: str, walk: Walk, client: str) -> None:
        self._engine, self._model, self._walk, self._client = engine, model, walk, client
        self._pieces: deque[Feeds] = deque()
        self._found: deque[Found] = deque()
        self._sizes: deque[int] = deque()
        self._started = False
        self.queue_ms, self.compute_ms = 0.0, 0.0

    async def through(self, pieces: AsyncIterator[Feeds]) -> AsyncGenerator[Found, None]:
        """What a pass finds, piece by piece, in order. Left early, what is waiting is dropped."""
        running: deque[asyncio.Task[Answer]] = deque()
        try:
            async for piece in pieces:
                self._pieces.append(piece)
                self._sizes.append(sum(values.nbytes for values in piece.values()))
                running.append(asyncio.create_task(self._advance(piece)))
                if len(running) == AHEAD:
                    yield await self._next(running)
            while running:
                yield await self._next(running)
        finally:
            self._pieces.clear()
            self._sizes.clear()
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    @property
    def bytes(self) -> int:
        """Of the pieces that are with the engine."""
        return sum(self._sizes)

    async def alone(self, task: Task) -> Outputs:
        """Something that has no tokens."""
        run = partial(self._timed, task)
        answer = await self._engine.advance(self._model, 1, run, client=self._client)
        return answer.outputs

    async def _next(self, running: deque[asyncio.Task[Answer]]) -> Found:
        """Whatever piece the first task has run, what was found first is of the oldest."""
        answer = await running[0]
        running.popleft()
        self._sizes.popleft()
        if not self._started:
            self._started, self.queue_ms = True, answer.queue_ms
        return self._found.popleft()

    async def _advance(self, piece: Feeds) -> Answer:
        """A token counts once, over all passes."""
        tokens = len(next(iter(piece.values()))) // self._walk.passes
        return await self._engine.advance(
            self._model, max(1, tokens), self._run, client=self._client
        )

    def _run(self) -> Outputs:
        """As a task: the oldest piece, whoever asks."""
        try:
            piece = self._pieces.popleft()
        except IndexError:  # the stream is over
            return {}
        self._found.append(self._timed(partial(self._walk.run, piece)))
        return {}

    def _timed(self, run: Callable[[], T]) -> T:
        """As a task."""
        began = time.perf_counter()
        try:
            return run()
        finally:
            self.compute_ms += (time.perf_counter() - began) * 1e3
