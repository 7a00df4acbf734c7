"""So many clients on connections of their own, who never ask the same request twice by themselves.

Libraries repeat what was lost on a connection that had been used before, and hide what is counted
here.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.peers.client import request

CLIENTS = 32

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter] | None


@dataclass(frozen=True, slots=True)
class Question:
    """A prepared request and the body of its answer."""

    prepared: bytes
    answer: bytes

    @classmethod
    def of(cls, path: str, body: bytes, answer: bytes, **headers: str) -> Question:
        """A POST."""
        return cls(request("POST", path, body, headers), answer)


@dataclass(slots=True)
class Tally:
    """What came of it: answers by status, seconds until each; when what failed, and how."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    failed: list[tuple[float, str]] = field(default_factory=list)

    @property
    def asked(self) -> int:
        """How many requests are over."""
        return self.statuses.total() + sum(not how.startswith("answer") for _, how in self.failed)

    def p99_ms(self) -> float:
        """Of what was answered."""
        return float(np.percentile(self.seconds, 99) * 1e3)


async def ask(
    port: int,
    questions: Sequence[Question],
    stay: Callable[[Tally], bool],
    same: Callable[[bytes, bytes], bool],
) -> Tally:
    """Ask in turn, for as long as ``stay`` says so of what has come of it."""
    tally, turns = Tally(), itertools.cycle(questions)
    loop = asyncio.get_running_loop()

    async def client() -> None:
        streams: Streams = None
        while stay(tally):
            question, began = next(turns), loop.time()
            try:
                streams = streams or await asyncio.open_connection("127.0.0.1", port, limit=2**20)
                status, head, body = await _asked(*streams, question)
            except (OSError, EOFError) as error:
                tally.failed.append((time.monotonic(), repr(error)))
                streams = _closed(streams)
                continue
            tally.seconds.append(loop.time() - began)
            tally.statuses[status] += 1
            if status != 200 or not same(body, question.answer):
                tally.failed.append((time.monotonic(), f"answer {status}: {body[:200]!r}"))
            if b"connection: close" in head.lower():
                streams = _closed(streams)
        _closed(streams)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return tally


async def _asked(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, question: Question
) -> tuple[int, bytes, bytes]:
    writer.write(question.prepared)
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
    body = await reader.readexactly(int(fields[b"content-length"]))
    return int(head.split()[1]), head, body


def _closed(streams: Streams) -> None:
    """What comes next has a connection of its own."""
    if streams:
        streams[1].transport.abort()
