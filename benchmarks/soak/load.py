"""Sends questions when they are due; some clients leave before they are answered."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.soak.questions import Question

CLIENTS = 64
LEAVE, WRONG = 0.02, 0.01  # of all requests
PATIENCE = 30.0  # seconds until an answer counts as stuck


@dataclass(slots=True)
class Tally:
    """What became of requests: by status, left, stuck, and those answered wrongly."""

    statuses: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)


class Load:
    """Clients with a connection each, which is opened again after they have left."""

    def __init__(
        self, port: int, valid: Sequence[Question], invalid: Sequence[Question], seed: int
    ) -> None:
        self._port, self._valid, self._invalid = port, valid, invalid
        self._rng = np.random.default_rng(seed)
        self.tally = Tally()

    async def peak(self, seconds: float) -> float:
        """Answers a second, when every client asks again as soon as it is answered.

        Until the last one has been: short requests overtake long ones, so that before that
        more are answered than can be in the long run.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        until = began + seconds

        async def client() -> int:
            connection, count = _Connection(self._port), 0
            while loop.time() < until:
                await connection.ask(self._any(self._valid))
                count += 1
            connection.close()
            return count

        counts = await asyncio.gather(*(client() for _ in range(CLIENTS // 2)))
        return sum(counts) / (loop.time() - began)

    async def run(self, rate: float, seconds: float) -> None:
        """So many a second, independently of one another and of answers."""
        loop = asyncio.get_running_loop()
        due: asyncio.Queue[float | None] = asyncio.Queue()
        clients = [asyncio.create_task(self._client(due)) for _ in range(CLIENTS)]
        now, until = loop.time(), loop.time() + seconds
        while now < until:
            now += float(self._rng.exponential(1 / rate))
            await asyncio.sleep(max(0.0, now - loop.time()))
            due.put_nowait(now)
        for _ in clients:
            due.put_nowait(None)
        await asyncio.gather(*clients)

    async def _client(self, due: asyncio.Queue[float | None]) -> None:
        connection, loop = _Connection(self._port), asyncio.get_running_loop()
        while (when := await due.get()) is not None:
            draw = self._rng.random()
            if draw < LEAVE:
                await connection.leave(self._any(self._valid), float(self._rng.exponential(0.01)))
                self.tally.statuses["left"] += 1
                continue
            question = self._any(self._invalid if draw < LEAVE + WRONG else self._valid)
            await self._ask(connection, question)
            self.tally.latencies.append(loop.time() - when)
        connection.close()

    async def _ask(self, connection: _Connection, question: Question) -> None:
        try:
            status, headers, body = await asyncio.wait_for(connection.ask(question), PATIENCE)
        except TimeoutError:
            self.tally.statuses["stuck"] += 1
            connection.close()
            return
        self.tally.statuses[str(status)] += 1
        if status < 500 and not question.right(status, headers, body):
            self.tally.wrong.append(f"{status} for {question.status}: {body[:200]!r}")

    def _any(self, questions: Sequence[Question]) -> Question:
        return questions[int(self._rng.integers(len(questions)))]


class _Connection:
    """Kept alive; opened when it is needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, question: Question) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        reader, writer = await self._open()
        writer.write(question.prepared)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(": ") for line in head[1:] if line)
        headers = {name.lower(): value for name, _, value in pairs}
        body = await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            self.close()
        return int(head[0].split()[1]), headers, body

    async def leave(self, question: Question, seconds: float) -> None:
        """Ask, and be gone before long."""
        _, writer = await self._open()
        writer.write(question.prepared)
        await asyncio.sleep(seconds)
        self.close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=2**20)
        return self._streams

    def close(self) -> None:
        """The next question opens another one."""
        if self._streams:
            self._streams[1].transport.abort()
            self._streams = None
