"""Clients on connections of their own, who never ask the same request twice by themselves.

Libraries repeat what was lost on a connection that had been used before, and hide what is counted
here.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.peers.client import Connection, request
from service.pack import Array

CLIENTS = 32
PATIENCE = 70.0  # seconds; a server answers after 60
PREDICT, INFER = "/v1/models/digits/predict", "/v2/models/digits/infer"
JSON = {"Content-Type": "application/json"}
LENGTHS = (1, 20, 70, 200, 700, 2000) * 3 + (7000, 34_000)  # the last is a body of 900 kB


@dataclass(frozen=True, slots=True)
class Question:
    """A prepared request, the tokens in it, and the outputs that are right."""

    prepared: bytes
    tokens: int
    outputs: object = None

    @classmethod
    def drawn(cls, length: int, **headers: str) -> Question:
        """A POST of one sequence to `digits`, of numbers of four decimals."""
        body = json.dumps({"sequences": [pixels(length).tolist()]}).encode()
        return cls(request("POST", PREDICT, body, JSON | headers), length)

    @classmethod
    def binary(cls, length: int, **headers: str) -> Question:
        """The same as a tensor, answered in JSON."""
        raw = pixels(length).astype(np.float32).tobytes()
        own: dict[str, object] = {"name": "pixels", "shape": [length, 3], "datatype": "FP32"}
        own["parameters"] = {"binary_data_size": len(raw)}
        head = json.dumps({"inputs": [own]}).encode()
        headers |= {"Inference-Header-Content-Length": str(len(head))}
        return cls(request("POST", INFER, head + raw, headers), length)

    def answered(self, port: int) -> Question:
        """With what a server says while all is well."""
        with Connection(port) as connection:
            answer = connection.send(self.prepared)
            return Question(
                self.prepared, self.tokens, json.loads(answer.body.tobytes())["outputs"]
            )


def pixels(length: int) -> Array:
    """Of `digits`, (length, 3)."""
    rng = np.random.default_rng(length)
    return (rng.integers(0, 7, (length, 3)) + rng.random((length, 3))).round(4)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """One connection at a time, opened when it is needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, prepared: bytes) -> Answer:
        """OSError or EOFError when the connection is lost, TimeoutError without an answer."""
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await self._asked(prepared)
        except (OSError, EOFError):
            self.leave()
            raise
        if answer.headers.get("connection") == "close":
            self.leave()
        return answer

    async def send(self, data: bytes) -> None:
        """And not wait for an answer."""
        reader, writer = self._streams or await asyncio.open_connection(
            "127.0.0.1", self._port, limit=2**20
        )
        self._streams = reader, writer
        writer.write(data)
        await writer.drain()

    def leave(self) -> None:
        """At once; what comes next has another connection."""
        if self._streams:
            self._streams[1].transport.abort()
        self._streams = None

    async def _asked(self, prepared: bytes) -> Answer:
        await self.send(prepared)
        assert self._streams
        reader = self._streams[0]
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        fields = (line.partition(": ") for line in lines)
        headers = {name.lower(): value for name, _, value in fields}
        body = await reader.readexactly(int(headers["content-length"]))
        return Answer(int(status.split()[1]), headers, body)


@dataclass(slots=True)
class Tally:
    """What came of it: answers by status; seconds and tokens; when what failed, and how."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)  # of those that are right
    tokens: int = 0  # in those
    failed: list[tuple[float, str]] = field(default_factory=list)
    lost: int = 0
    took: float = 0.0  # seconds for all of it

    @property
    def asked(self) -> int:
        """How many requests are over."""
        return self.statuses.total() + self.lost

    @property
    def rate(self) -> float:
        """Tokens a second, of what was answered rightly."""
        return self.tokens / self.took

    def p99(self) -> float:
        """Milliseconds, of what was answered."""
        return float(np.percentile(self.seconds, 99) * 1e3)

    async def of(self, client: Client, question: Question) -> Answer | None:
        """Have it asked, and note what came of it."""
        now = asyncio.get_running_loop().time
        began = now()
        try:
            answer = await client.ask(question.prepared)
        except (OSError, EOFError) as error:
            self.lost += 1
            self.failed.append((now(), f"{error!r} of {question.tokens} tokens"))
            return None
        self.statuses[answer.status] += 1
        if answer.status == 200 and json.loads(answer.body)["outputs"] == question.outputs:
            self.seconds.append(now() - began)
            self.tokens += question.tokens
        else:
            self.failed.append((now(), f"answer {answer.status}: {answer.body[:200]!r}"))
        return answer


async def ask(
    port: int,
    questions: Sequence[Question],
    stay: Callable[[Tally], bool],
    *,
    clients: int = CLIENTS,
    tally: Tally | None = None,
) -> Tally:
    """Ask in turn, for as long as ``stay`` says so of what has come of it."""
    tally, turns = tally or Tally(), itertools.cycle(questions)

    async def one() -> None:
        client = Client(port)
        while stay(tally):
            await tally.of(client, next(turns))
        client.leave()

    began = asyncio.get_running_loop().time()
    await asyncio.gather(*(one() for _ in range(clients)))
    tally.took = asyncio.get_running_loop().time() - began
    return tally


def questions(port: int, lengths: Sequence[int] = LENGTHS) -> list[Question]:
    """One of every length, with their answers."""
    known = {length: Question.drawn(length).answered(port) for length in set(lengths)}
    return [known[length] for length in lengths]
