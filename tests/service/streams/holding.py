"""Streams that are held up: by the engine, or by whoever has begun and does not end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from service.application import Service
from service.streams.streamed import Streams
from tests.service.streams.talk import Talk, until

TOKENS = 20_000
SMALL = {"shared_ms": 0.001}  # pieces as small as they may be: 256 tokens


@dataclass
class Gate:
    """Lets so many pieces through to the engine."""

    service: Service
    monkeypatch: pytest.MonkeyPatch
    passed: int = 0
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    def __post_init__(self) -> None:
        advance = self.service.engine.advance

        async def gated(*about: Any, **named: Any) -> Any:
            await self._room.acquire()
            self.passed += 1
            return await advance(*about, **named)

        self.monkeypatch.setattr(self.service.engine, "advance", gated)

    def open(self, pieces: int = 10**4) -> None:
        for _ in range(pieces):
            self._room.release()


def endless(part: bytes) -> Iterator[bytes]:
    while True:
        yield part


@asynccontextmanager
async def going(streams: Streams, talk: Talk, name: str) -> AsyncIterator[asyncio.Task[None]]:
    """The stream, ended with the block."""
    task, before = asyncio.create_task(talk.held(streams, name)), streams.open
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert streams.open == before
        await until(lambda: streams.space.taken == 0)
