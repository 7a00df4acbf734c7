"""What is asked: sequences of random lengths on every wire, with known answers; and mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.online.traffic import Limit
from benchmarks.peers import messages
from benchmarks.peers.client import Reply, request
from benchmarks.peers.messages import INFER, PREDICT, Message
from service.pack import Array

SEQUENCES, LONG = 384, (20_000, 60_000)
WIRES = (messages.v1_json, messages.v1_arrow, messages.oip_binary)


@dataclass(frozen=True, slots=True)
class Question:
    """A request, what must come back with 200, or the status of what is wrong with it."""

    message: Message | None
    prepared: bytes
    status: int = 200
    answer: Array | None = None

    def right(self, status: int, headers: dict[str, str], body: bytes) -> bool:
        """Whether an answer is what it must be, to the last bit."""
        if status != self.status or self.message is None:
            return status == self.status
        assert self.answer is not None
        found = self.message.decode(Reply(headers, memoryview(body)))
        return found.tobytes() == self.answer.tobytes()


def valid(seed: int) -> list[Question]:
    """Lognormal lengths, none and one token among them, and a few that go bit by bit."""
    rng, limit = np.random.default_rng(seed), Limit()
    lengths = np.exp(rng.normal(np.log(96), 1.4, SEQUENCES)).astype(np.int64).clip(0, 8192)
    lengths[:3], lengths[3:6] = (0, 1, 2), rng.integers(*LONG, 3)
    found = []
    for i, length in enumerate(lengths):
        x = rng.normal(size=(int(length), 8)).astype(np.float32)
        message = WIRES[i % len(WIRES)](x)
        found.append(Question(message, message.prepared, answer=limit.answer(x)))
    return found


def invalid() -> Sequence[Question]:
    """What clients do wrong, by the status it is answered with."""
    rows = b"[[1, 2, 3, 4, 5, 6, 7, 8]]"
    json = {"Content-Type": "application/json"}
    bad = {
        b"": 400,
        b"{": 400,
        b'{"sequences": [' + rows[:-4] + b"]]]}": 400,
        b'{"sequences": [' + rows + b'], "sequence": 1}': 400,
        b'{"sequences": [' + b"[" * 100 + b"]" * 100 + b"]}": 400,
        b"\xff" * 1000: 400,
    }
    found = [
        Question(None, request("POST", PREDICT, body, json), status) for body, status in bad.items()
    ]
    text = {"Content-Type": "text/plain"}
    unknown = PREDICT.replace("reference", "nobody")
    found.append(Question(None, request("POST", PREDICT, b"{}", text), 415))
    found.append(Question(None, request("POST", unknown, b"{}", json), 404))
    found.append(Question(None, request("POST", INFER, b'{"inputs": []}', json), 400))
    return found
