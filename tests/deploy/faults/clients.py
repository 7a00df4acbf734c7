"""So many clients on connections of their own, who never ask the same request twice by themselves.

Libraries repeat what was lost on a connection that had been used before, and hide what is counted
here.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.peers.client import request

CLIENTS = 32


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
    """What came of it: answers by status, what was lost, what was answered otherwise, seconds."""

    statuses: Counter[int] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    wrong: list[bytes] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Of all requests."""
        return len(self.lost) + len(self.wrong) + self.statuses.total() - self.statuses[200]

    def p99_ms(self) -> float:
        """Of what was answered."""
        return float(np.percentile(self.seconds, 99) * 1e3)


async def ask(
    port: int,
    questions: Sequence[Question],
    count: int,
    at: Callable[[int], object] = lambda _: None,
    same: Callable[[bytes, bytes], bool] = lambda found, wanted: found == wanted,
) -> Tally:
    """Ask ``count`` times, in turn. at: is called with the number of every request that begins."""
    tally, numbers = Tally(), iter(range(count))
    loop = asyncio.get_running_loop()

    async def client() -> None:
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        for number in numbers:
            at(number)
            question, began = questions[number % len(questions)], loop.time()
            try:
                if streams is None:
                    streams = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
                status, head, body = await _asked(*streams, question)
            except (OSError, EOFError) as error:
                tally.lost.append(repr(error))
                streams = _closed(streams)
                continue
            tally.seconds.append(loop.time() - began)
            tally.statuses[status] += 1
            if status == 200 and not same(body, question.answer):
                tally.wrong.append(body)
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


def _closed(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None) -> None:
    if streams:
        streams[1].transport.abort()
