"""Who is compared: every wire of ours and of the peers', with what a burst of requests takes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import orjson

from benchmarks.peers import messages
from benchmarks.peers.client import Connection, Reply, request
from benchmarks.peers.messages import Message
from service.pack import Array

STATISTICS = request("GET", "/v2/models/reference/stats")
COUNTED = {
    "queue": "queue",
    "model": "compute_infer",
    "decode": "compute_input",
    "encode": "compute_output",
}
OURS, PYDANTIC, ORJSON, TRITON = "sumserve", "FastAPI + pydantic", "FastAPI + orjson", "Triton"

Parts = Mapping[str, float]  # seconds per request: total, model, and of ours decode and encode


@dataclass(frozen=True, slots=True)
class Contender:
    """A message and where it goes. counts: whether the server counts what its model takes."""

    message: Message
    connection: Connection
    counts: bool

    def send(self) -> Reply:
        """One request."""
        return self.connection.send(self.message.prepared)

    def burst(self, requests: int) -> Parts:
        """So many requests, one after the other."""
        before = self.counted()
        started = time.perf_counter()
        for _ in range(requests):
            self.connection.send(self.message.prepared)
        total = time.perf_counter() - started
        after = self.counted()
        spent = {name: (after[name] - before[name]) / 1e9 for name in COUNTED}
        return {name: seconds / requests for name, seconds in ({"total": total} | spent).items()}

    def counted(self) -> Mapping[str, int]:
        """Nanoseconds so far."""
        if not self.counts:
            return dict.fromkeys(COUNTED, 0)
        found = orjson.loads(self.connection.send(STATISTICS).body)
        parts = found["model_stats"][0]["inference_stats"]
        return {name: parts[field]["ns"] for name, field in COUNTED.items()}


def messages_of(server: str, x: Array) -> dict[str, Message]:
    """Every wire of a server, by name."""
    if server in (PYDANTIC, ORJSON):
        return {server: messages.app_json(x), f"{server}, 17 digits": messages.app_json(x, True)}
    oip = {
        f"{server}, OIP JSON": messages.oip_json(x),
        f"{server}, OIP binary": messages.oip_binary(x),
        f"{server}, OIP binary gzip": messages.oip_binary(x, compressed=True),
    }
    if server == TRITON:
        return oip
    v1 = {
        f"{server}, /v1 JSON": messages.v1_json(x),
        f"{server}, /v1 JSON, 17 digits": messages.v1_json(x, True),
        f"{server}, /v1 Arrow": messages.v1_arrow(x),
    }
    return v1 | oip


def connect(ports: Mapping[str, int], x: Array, stack: ExitStack) -> dict[str, Contender]:
    """Every wire of every server for one sequence, each over a connection of its own."""
    return {
        name: Contender(
            message, stack.enter_context(Connection(port)), counts=server in (OURS, TRITON)
        )
        for server, port in ports.items()
        for name, message in messages_of(server, x).items()
    }


def check(contenders: Mapping[str, Contender], x: Array) -> None:
    """All of ours answer the same, to the last bit, and the identities what they were sent."""
    found = {name: one.message.decode(one.send()) for name, one in contenders.items()}
    _check_equal((name, y) for name, y in found.items() if name.startswith(OURS))
    _check_equal([("x", x), *((n, y) for n, y in found.items() if not n.startswith(OURS))])
    plain = contenders[f"{OURS}, /v1 JSON"]
    before = plain.counted()["model"]
    usage = orjson.loads(plain.send().body)["usage"]
    counts = (plain.counted()["model"] - before) / 1e6
    assert abs(usage["compute_ms"] - counts) < 0.01, "usage and statistics disagree"


def _check_equal(answers: Iterable[tuple[str, Array]]) -> None:
    (first, wanted), *others = answers
    for name, found in others:
        assert found.dtype == wanted.dtype, f"{name} answers {found.dtype}"
        assert found.tobytes() == wanted.tobytes(), f"{name} and {first} answer differently"
