"""Clients leave in mid-upload, mid-compute and mid-stream: nothing of theirs stays."""

from __future__ import annotations

import asyncio
import random

from benchmarks.upload import HEAD, NDJSON
from tests.deploy.faults.balanced import Balanced
from tests.deploy.faults.clients import Client, Question, Tally, ask, questions
from tests.deploy.faults.conftest import Measured
from tests.deploy.faults.harm import COUNT
from tests.streaming import MIB, resident, tokens, until

LEAVING = 0.02  # of the requests
LONG = 60_000  # tokens that a client asks for and does not wait for: 0.2 s, and 1.6 MB
HELD = ("queued_tokens", "in_flight_bytes", "spool_bytes", "open_requests", "open_streams")


async def mid_upload(client: Client, long: Question) -> None:
    await client.send(long.prepared[: len(long.prepared) * 7 // 8])  # more than a balancer keeps


async def mid_compute(client: Client, long: Question) -> None:
    await client.send(long.prepared)


async def mid_stream(client: Client, long: Question) -> None:
    head = HEAD.format(model="polynomial", kind=NDJSON, accept=NDJSON)
    await client.send(head.encode() + tokens(20_000))


WAYS = (mid_upload, mid_compute, mid_stream)


async def leavers(port: int, long: Question, tally: Tally, over: asyncio.Event) -> int:
    """One more has left whenever another so many requests are over."""
    count = 0
    while not over.is_set():
        await asyncio.sleep(0.01)
        if tally.asked * LEAVING > count:
            client = Client(port)
            await WAYS[count % len(WAYS)](client, long)
            await asyncio.sleep(random.uniform(0, 0.05))
            client.leave()
            count += 1
    return count


async def load(balanced: Balanced, count: int) -> tuple[Tally, int]:
    """What comes of the others' requests, and how many have left."""
    asked, long = questions(balanced.port), Question.drawn(LONG)
    over, tally = asyncio.Event(), Tally()
    leaving = asyncio.create_task(leavers(balanced.port, long, tally, over))
    await ask(balanced.port, asked, lambda found: found.asked < count, tally=tally)
    over.set()
    return tally, await leaving


def held(balanced: Balanced) -> float:
    """Whatever of anybody's is still there."""
    return sum(balanced.metric(f"sumserve_{name}") for name in HELD)


def computed(balanced: Balanced) -> float:
    labels = 'model="digits",outcome="computed"'
    return balanced.metric("sumserve_tokens_total", labels)


def test_of_clients_that_leave_nothing_stays(measured: Measured) -> None:
    with Balanced("haproxy") as balanced:
        asyncio.run(load(balanced, COUNT // 2))
        before = [resident(replica) for replica in balanced.replicas]
        until(lambda: not held(balanced))
        done = computed(balanced)
        tally, left = asyncio.run(load(balanced, COUNT))
        until(lambda: not held(balanced))
        extra = computed(balanced) - done - tally.tokens
        growth = [resident(r) - was for r, was in zip(balanced.replicas, before, strict=True)]
    share = extra / (left / len(WAYS) * LONG)
    measured(
        f"{left} of {tally.asked:,} clients leave in mid-upload, mid-compute, mid-stream",
        f"{len(tally.failed)} others failed, 0 jobs left, "
        f"{share:.0%} of their tokens computed, memory {max(growth) / MIB:+.0f} MB",
    )
    assert tally.failed == []
    assert left >= LEAVING * COUNT
    assert share < 0.5, "what who had left had asked was computed"
    assert max(growth) < 64 * MIB
