"""Loads one running contender, after having checked what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.online import closed
from benchmarks.online.arrivals import Record, poisson, send
from benchmarks.online.closed import CLIENTS, Closed
from benchmarks.online.contender import Bodies, Contender
from benchmarks.online.latency import by_class
from benchmarks.online.traffic import Traffic
from benchmarks.peers.client import Connection
from benchmarks.process import ServerProcess
from benchmarks.tree import cpu_seconds
from service.pack import Array

CHECKED = 64  # answers compared before a contender is timed
FEW, FEW_TIMES = 100, 4  # a load with fewer answers is repeated, so many times as long
KEEP_EVERY = 50  # answers compared after an open loop


@dataclass(frozen=True, slots=True)
class Loader:
    """What is sent to whom, and what must come back. checked: of whom that has been seen."""

    traffics: Mapping[str, Traffic]
    answers: Mapping[str, Sequence[Array]]
    bodies: Bodies
    checked: set[tuple[str, str, str]] = field(default_factory=set)

    def check(self, contender: Contender, port: int, wire: str, mix: str) -> None:
        """Many at a time, so that batches form; AssertionError when one answer is wrong."""
        key = (contender.name, wire, mix)
        if key in self.checked:
            return
        prepared = [contender.message(wire, x).prepared for x in self._first(mix)]
        record = send(port, prepared, np.zeros(CHECKED), keep_every=1, connections=CLIENTS)
        self._compare(contender, wire, mix, record)
        self.checked.add(key)

    def closed(
        self, contender: Contender, server: ServerProcess, wire: str, mix: str, seconds: int
    ) -> dict[str, Any]:
        """Requests and tokens a second, with 32 clients; and processor time of the server."""
        traffic, port = self.traffics[mix], server.port
        self.check(contender, port, wire, mix)
        bodies = self.bodies.file(contender, wire, traffic)
        found, spent = measured(server, bodies, seconds)
        if found.requests < FEW:
            found, spent = measured(server, bodies, FEW_TIMES * seconds)
        settle(contender, port)
        return {
            "requests_per_second": round(found.rate, 2),
            "tokens_per_second": round(traffic.tokens(found.requests) / found.seconds),
            "cpu_ms_per_request": round(1e3 * spent / max(1, found.requests), 3),
            "p50_ms": round(found.p50_ms, 2),
            "p99_ms": round(found.p99_ms, 2),
        }

    def open(
        self,
        contender: Contender,
        port: int,
        wire: str,
        mix: str,
        rate: float,
        seconds: float,
        seed: int,
    ) -> dict[str, Any]:
        """Latencies at so many requests a second."""
        self.check(contender, port, wire, mix)
        traffic = self.traffics[mix]
        prepared = [contender.message(wire, x).prepared for x in traffic.sequences]
        record = send(port, prepared, poisson(rate, seconds, seed), keep_every=KEEP_EVERY)
        self._compare(contender, wire, mix, record)
        return by_class(record, traffic.lengths)

    def _first(self, mix: str) -> Sequence[Array]:
        return self.traffics[mix].sequences[:CHECKED]

    def _compare(self, contender: Contender, wire: str, mix: str, record: Record) -> None:
        for request, reply in record.kept.items():
            place = request % len(self.answers[mix])
            message = contender.message(wire, self.traffics[mix].sequences[place])
            found = message.decode(reply)
            assert contender.right(found, self.answers[mix][place]), (
                f"{contender.name} answers request {request} of {mix} in {wire} wrongly"
            )


def measured(server: ServerProcess, bodies: Path, seconds: int) -> tuple[Closed, float]:
    """A closed loop, and what the server's processes took of the processors."""
    before = cpu_seconds(server.process.pid)
    found = closed.load(server.port, bodies, seconds)
    return found, cpu_seconds(server.process.pid) - before


def settle(contender: Contender, port: int, tries: int = 5) -> None:
    """Wait until what the last load left is done. Some peers answer 408 where that takes long."""
    for left in reversed(range(tries)):
        with Connection(port) as connection:
            try:
                connection.send(contender.first().prepared)
                return
            except ConnectionError:
                if not left:
                    raise
