"""A slow replica gets less; slow clients cost the others nothing."""

from __future__ import annotations

import asyncio
import socket
import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from tests.deploy.faults.balanced import Balanced, Replica
from tests.deploy.faults.clients import Question, Tally, ask, questions
from tests.deploy.faults.conftest import Measured
from tests.deploy.faults.harm import COUNT
from tests.deploy.faults.slowed import Slowed

SLOW = 0.2  # seconds
ROUNDS = 3
SHORT = (1, 20, 70, 200, 700)
IDLE, STALLED, HALF = 500, 100, 100


def asked(balanced: Balanced, questions: list[Question], count: int, clients: int) -> Tally:
    def stay(tally: Tally) -> bool:
        return tally.asked < count

    return asyncio.run(ask(balanced.port, questions, stay, clients=clients))


def answered(replica: Replica) -> int:
    (own,) = httpx.get(f"{replica.url}/v2/models/digits/stats").json()["model_stats"]
    count: int = own["inference_stats"]["success"]["count"]
    return count


@pytest.mark.deploy
def test_a_slow_replica_gets_less_and_all_are_answered(measured: Measured) -> None:
    with ExitStack() as stack:
        slowed: list[Slowed] = []

        def reached(replica: Replica) -> int:
            slowed.append(stack.enter_context(Slowed(replica.port)))
            return slowed[-1].port

        balanced = stack.enter_context(Balanced("haproxy", reached=reached))
        known, rates, shares, failed = questions(balanced.port), [], [], []
        for _ in range(ROUNDS):
            found = []
            for seconds in (0.0, SLOW):
                slowed[0].seconds = seconds
                before = [answered(replica) for replica in balanced.replicas]
                tally = asked(balanced, known, COUNT // 2, 32)
                count = [answered(r) - b for r, b in zip(balanced.replicas, before, strict=True)]
                found.append(tally.rate)
                failed += tally.failed
            rates.append(found[1] / found[0])
            shares.append(count[0] / sum(count))
    measured(
        "a replica slower by 200 ms",
        f"throughput {statistics.median(rates):.2f} of without ({min(rates):.2f} to "
        f"{max(rates):.2f}); it gets {statistics.median(shares):.0%} of the requests; "
        f"{len(failed)} failed",
    )
    assert failed == []
    assert statistics.median(shares) < 0.5


@contextmanager
def crowd(balanced: Balanced) -> Iterator[None]:
    """Connections that are idle, that have sent half a head, and whose bodies stall."""
    head, body = Question.drawn(700).prepared.split(b"\r\n\r\n")
    kinds = {b"": IDLE, head[:30]: HALF, head + b"\r\n\r\n" + body[:100]: STALLED}
    with ExitStack() as stack:
        for sent, count in kinds.items():
            for _ in range(count):
                own = socket.create_connection(("127.0.0.1", balanced.port), timeout=10)
                stack.enter_context(own).sendall(sent)
        yield


@pytest.mark.deploy
def test_slow_and_idle_clients_cost_the_others_nothing(measured: Measured) -> None:
    with Balanced("haproxy") as balanced:
        known, ratios, failed, held = questions(balanced.port, SHORT), [], [], 0.0
        for _ in range(ROUNDS):
            alone = asked(balanced, known, COUNT, 8)
            with crowd(balanced):
                among = asked(balanced, known, COUNT, 8)
                held = max(held, balanced.metric("sumserve_open_requests"))
            ratios.append(among.p99() / alone.p99())
            failed += alone.failed + among.failed
    measured(
        f"{STALLED} bodies that stall, {HALF} half heads, {IDLE} idle connections",
        f"p99 of the others {statistics.median(ratios):.2f} of without ({min(ratios):.2f} to "
        f"{max(ratios):.2f}), {len(failed)} failed",
    )
    assert failed == []
    assert held == 0, "a slow client has a place in a replica"
