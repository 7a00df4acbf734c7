"""Whoever is slow holds up the other: nothing piles up in between. And whoever leaves is let go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from service.application import Service
from service.streams import outgoing
from service.streams.belt import AHEAD
from service.streams.streamed import Streams
from tests.service.streams.conftest import Serving
from tests.service.streams.cuts import draw, lines
from tests.service.streams.talk import Talk, settled, to_its_end, until

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
    task = asyncio.create_task(talk.held(streams, name))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert streams.open == 0
        assert streams.space.taken == 0


@pytest.mark.parametrize("name", ["pooled", "plain"])
def test_no_more_is_received_than_is_computed(
    serving: Serving, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def all_of_it() -> None:
        service = serving(**SMALL)
        gate, streams = Gate(service, monkeypatch), Streams(service)
        part = b"".join(lines(draw(service.manifests[name], TOKENS), [TOKENS]))
        talk = Talk(endless(part))
        async with going(streams, talk, name):
            reads = await settled(lambda: talk.reads)
            assert reads == 1, "what was received has 78 pieces"
            gate.open(AHEAD)
            await until(lambda: gate.passed == AHEAD)
            assert await settled(lambda: talk.reads) == 1
            gate.open(200)
            assert await settled(lambda: talk.reads) == 3

    to_its_end(all_of_it())


def test_no_more_is_computed_than_is_read(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def all_of_it() -> None:
        service = serving(**SMALL)
        gate, streams = Gate(service, monkeypatch), Streams(service)
        gate.open()
        talk = Talk(lines(draw(service.manifests["plain"], 10 * TOKENS), [TOKENS]))
        async with going(streams, talk, "plain") as task:
            talk.reading.clear()
            await until(lambda: streams.space.taken > 0)
            held = await settled(lambda: gate.passed)
            talk.reading.set()
            await task
            assert talk.ended
            assert gate.passed > held  # type: ignore[operator]

    to_its_end(all_of_it())


def test_a_client_that_does_not_read_is_dropped(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def all_of_it() -> None:
        service = serving(body_seconds=0.3, **SMALL)
        streams = Streams(service)
        talk = Talk(lines(draw(service.manifests["plain"], TOKENS), [TOKENS]))
        async with going(streams, talk, "plain") as task:
            await until(lambda: talk.status is not None)
            talk.reading.clear()
            await task
            assert talk.cut
            assert not talk.ended
            assert talk.log["status"] == 499
            assert "read nothing of its answer for 0.3 seconds" in talk.log["error"]

    monkeypatch.setattr(outgoing, "WRITTEN_BYTES", 100)
    to_its_end(all_of_it())


@pytest.mark.parametrize(
    ("name", "let_through"), [("pooled", 0), ("pooled", 1), ("plain", 50), ("stack", 100)]
)
def test_a_client_that_leaves_is_let_go_and_nothing_more_is_run(
    serving: Serving, name: str, let_through: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def all_of_it() -> None:
        service = serving(**SMALL)
        gate, streams = Gate(service, monkeypatch), Streams(service)
        gate.open(let_through)
        talk = Talk(lines(draw(service.manifests[name], TOKENS), [TOKENS]))
        async with going(streams, talk, name) as task:
            await until(lambda: gate.passed == let_through)
            await settled(lambda: talk.reads)
            talk.leave()
            await task
            assert talk.status == 499
            gate.open()
            assert await settled(lambda: gate.passed) == let_through
            assert service.engine.requests == 0
            assert streams.space.taken == 0

    to_its_end(all_of_it())


def test_a_client_that_leaves_in_its_answer_is_let_go(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def all_of_it() -> None:
        service = serving(**SMALL)
        gate, streams = Gate(service, monkeypatch), Streams(service)
        gate.open()
        talk = Talk(lines(draw(service.manifests["plain"], 5 * TOKENS), [TOKENS]))
        async with going(streams, talk, "plain") as task:
            await until(lambda: talk.status is not None)
            talk.reading.clear()
            held = await settled(lambda: gate.passed)
            talk.leave()
            talk.cut = True
            await task
            assert talk.log["status"] == 499
            assert await settled(lambda: gate.passed) == held
            assert service.statistics.of("plain", "1")["inference_stats"]["fail"]["count"] == 1

    to_its_end(all_of_it())
