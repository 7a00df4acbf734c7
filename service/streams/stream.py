"""One stream from its first byte to its last: passes over its tokens, the first as they come in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from service.application import Service
from service.catalog import Served
from service.errors import BadRequest
from service.keys import Key
from service.pack import BLOCK, Array
from service.stages import Feeds
from service.statistics import Timing
from service.streams.belt import Belt
from service.streams.memory import Memory
from service.streams.outgoing import Outgoing
from service.streams.spool import Spool
from service.streams.tokens import Tokens
from service.streams.upload import Upload
from service.streams.walk import Walk
from service.wires.pieces import PieceReader
from service.wires.streaming import PieceWriter

LEAST_TOKENS, MOST_TOKENS = 256, 16_384  # of a piece that is run

T = TypeVar("T")


@dataclass(slots=True)
class Stream:
    """Who takes part in it, and what it has taken so far; seconds."""

    service: Service
    served: Served
    upload: Upload
    reader: PieceReader
    media: str
    writer: PieceWriter
    out: Outgoing
    walk: Walk
    belt: Belt
    spool: Spool
    memory: Memory
    key: Key | None
    tokens: Tokens = field(init=False)
    decoding: float = 0.0
    encoding: float = 0.0
    _begun: bool = False

    def __post_init__(self) -> None:
        self.tokens = Tokens(self.served.manifest, self.service.settings.max_stream_tokens)

    async def run(self) -> None:
        """Receive, run, answer. ServiceErrors are the caller's; `out` says whether it has begun."""
        await self._first()
        for _ in range(1, self.walk.passes - 1):
            await self._middle()
        async with aclosing(self._outputs()) as every:
            async for outputs in every:
                check_finite(outputs)
                tokens = len(next(iter(outputs.values())))
                await self._send(await self._encoded(self.writer.piece, tokens, outputs))
        answer = await self.belt.alone(self.walk.finish)
        check_finite(answer)
        await self._send(await self._encoded(self.writer.end, answer, self.usage()))
        await self.out.end()

    def usage(self) -> dict[str, float]:
        """What it took, for the client and the log."""
        return {
            "tokens": self.tokens.total,
            "passes": self.walk.passes,
            "spool_bytes": self.spool.bytes,
            "queue_ms": round(self.belt.queue_ms, 3),
            "compute_ms": round(self.belt.compute_ms, 3),
        }

    def timing(self) -> Timing:
        """The same for statistics."""
        queue, compute = self.belt.queue_ms / 1e3, self.belt.compute_ms / 1e3
        return Timing(queue, self.decoding, compute, self.encoding)

    async def _first(self) -> None:
        """While the sequence comes in. What is found of tokens is kept, be it of one pass only."""
        async with (
            aclosing(self._uploaded()) as pieces,
            aclosing(self.belt.through(pieces)) as every,
        ):
            async for found in every:
                kept = found.kept if self.walk.passes > 1 else found.outputs
                if kept:
                    await self.spool.append(kept)
                self._count()
        self.walk.turn()

    async def _middle(self) -> None:
        """Another pass over what was kept, which is written over."""
        async with (
            aclosing(self.spool.pieces()) as pieces,
            aclosing(self.belt.through(pieces)) as every,
        ):
            number = 0
            async for found in every:
                await self.spool.replace(number, found.kept)
                self._count()
                number += 1
        self.walk.turn()

    async def _outputs(self) -> AsyncGenerator[Feeds, None]:
        """Of every piece, in the last pass; of a single one they are there already."""
        async with aclosing(self.spool.pieces()) as pieces:
            if self.walk.passes == 1:
                async for outputs in pieces:
                    yield outputs
                return
            async with aclosing(self.belt.through(pieces)) as every:
                async for found in every:
                    if found.outputs:
                        yield found.outputs
        self.walk.turn()

    async def _uploaded(self) -> AsyncGenerator[Feeds, None]:
        """The sequence's columns, in pieces that suit the engine; the last may be smaller."""
        tokens = self.tokens
        with self.memory.taking_in():
            async with aclosing(self.upload.parts()) as parts:
                async for data in parts:
                    await self.memory.room(self.reader.uncut)
                    await self._take(data)
                    while tokens.waiting >= (size := self._piece_tokens()):
                        yield self._given(tokens.take(size))
        await self._take(b"", last=True)
        if not tokens.pieces:
            self.reader.check_empty()
        tokens.check_end()
        while tokens.waiting:
            yield self._given(tokens.take(min(tokens.waiting, self._piece_tokens())))
        if not tokens.total:
            self._given({})

    def _given(self, piece: Feeds) -> Feeds:
        if not self._begun:
            self.walk.given(self.tokens.context, piece)
            self._begun = True
        self._count()
        return piece

    async def _take(self, data: bytes, last: bool = False) -> None:
        """Read what there is enough of."""
        units = await self._call(self.reader.cut, data, last)
        self._count(sum(len(unit.data) for unit in units))
        if units:
            began = time.perf_counter()
            packs = await self._call(self.reader.read, units)
            self.decoding += time.perf_counter() - began
            for pack in packs:
                self.tokens.add(pack)
                self.service.drift.look(self.served, pack, whole=False)
            self._count()
            await self._pace(sum(pack.tokens for pack in packs))

    async def _pace(self, tokens: int) -> None:
        """Go no faster than the client's key allows."""
        if self.key:
            await asyncio.sleep(self.key.use(tokens, time.perf_counter()))

    def _piece_tokens(self) -> int:
        """As many as run for as long as a step may that is shared with others."""
        engine, seconds = self.service.engine, self.service.settings.shared_ms / 1e3
        costs = engine.costs[self.served.id].stages[: self.walk.passes]
        tokens = min(cost.tokens(seconds) for cost in costs)
        return min(max(tokens, LEAST_TOKENS), MOST_TOKENS) // BLOCK * BLOCK

    async def _encoded(self, write: Callable[..., bytes], *what: Any) -> bytes:
        began = time.perf_counter()
        data = await self._call(write, *what)
        self.encoding += time.perf_counter() - began
        return data

    async def _send(self, data: bytes) -> None:
        self._count(len(data))
        if not self.out.started:
            await self.out.begin(self.media)
        await self.out.write(data)
        self._count()

    def _count(self, more: int = 0) -> None:
        """What is in memory now; more: on its way from one place to the next."""
        parts = self.reader.held, self.tokens.bytes, self.belt.bytes, self.spool.in_memory
        self.memory.holds(sum(parts) + more)

    async def _call(self, function: Callable[..., T], *args: Any) -> T:
        """In a thread, so that the loop goes on answering others."""
        return await asyncio.get_running_loop().run_in_executor(
            self.service.streamers, function, *args
        )


def check_finite(outputs: Mapping[str, Array]) -> None:
    """BadRequest naming the output that is not."""
    for name, rows in outputs.items():
        if not np.isfinite(rows).all():
            raise BadRequest(f"output {name!r} is not finite for this input")
