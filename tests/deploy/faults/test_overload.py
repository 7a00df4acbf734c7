"""Four times what can be done is offered: the excess is refused, the rest is done in time."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Sequence

import numpy as np
import pytest

from tests.deploy.faults.balanced import Balanced
from tests.deploy.faults.clients import Client, Question, Tally, ask
from tests.deploy.faults.conftest import Measured

TIMES = 4
SECONDS = float(os.environ.get("FAULT_SECONDS", "6"))  # make test-deploy asks for 60
DEADLINE = 2.0
LENGTHS = (2000, 4000, 8000, 16_000)


def drawn(port: int, **headers: str) -> list[Question]:
    """Binary: what is measured is the server, not how fast a client's numbers are read."""
    return [Question.binary(length, **headers).answered(port) for length in LENGTHS]


async def peak(port: int, known: Sequence[Question]) -> float:
    """Tokens a second that are computed while 32 clients wait for theirs."""
    now = asyncio.get_running_loop().time
    until = now() + max(SECONDS / 4, 5)
    tally = await ask(port, known, lambda tally: now() < until)
    assert not tally.failed
    return tally.rate


class Offered:
    """Requests that come when they come, independently of one another and of answers."""

    def __init__(self, port: int, known: Sequence[Question]) -> None:
        self.tally = Tally()
        self.unasked = 0  # 429 without a time to come back
        self._port, self._known = port, itertools.cycle(known)
        self._idle: list[Client] = []
        self._rng = np.random.default_rng(0)

    async def run(self, rate: float, seconds: float) -> None:
        """So many tokens a second."""
        now = asyncio.get_running_loop().time
        began = due = now()
        rate /= sum(LENGTHS) / len(LENGTHS)
        async with asyncio.TaskGroup() as group:
            while due < began + seconds:
                await asyncio.sleep(due - now())
                group.create_task(self._one(next(self._known)))
                due += self._rng.exponential(1 / rate)
        self.tally.took = now() - began
        for client in self._idle:
            client.leave()

    async def _one(self, question: Question) -> None:
        client = self._idle.pop() if self._idle else Client(self._port)
        answer = await self.tally.of(client, question)
        if answer and answer.status == 429:
            self.unasked += not float(answer.headers.get("retry-after", 0)) >= 1
        self._idle.append(client)


async def recovered(port: int, question: Question) -> float:
    """Seconds until a request is answered in time again."""
    now, client = asyncio.get_running_loop().time, Client(port)
    began = now()
    while now() < began + 30:
        answer = await client.ask(question.prepared)
        if answer.status == 200:
            break
        await asyncio.sleep(0.02)
    client.leave()
    return now() - began


@pytest.mark.deploy
def test_four_times_too_much_is_refused_in_time_and_the_rest_is_done(measured: Measured) -> None:
    with Balanced("haproxy") as balanced:
        most = asyncio.run(peak(balanced.port, drawn(balanced.port)))
        known = drawn(balanced.port, **{"X-Request-Timeout": str(DEADLINE)})
        offered = Offered(balanced.port, known)
        asyncio.run(offered.run(TIMES * most, SECONDS))
        back = asyncio.run(recovered(balanced.port, known[-1]))
    tally = offered.tally
    late = [how for _, how in tally.failed if not how.startswith("answer 429")]
    accepted = tally.statuses[200] + len(late)
    measured(
        f"{TIMES} times too many tokens for {SECONDS:.0f} s",
        f"of {tally.asked:,} requests {tally.statuses[200]:,} answered, "
        f"{tally.statuses[429]:,} refused (429), {len(late) / accepted:.1%} of the accepted late "
        f"(504); throughput "
        f"{tally.rate / most:.2f} of the peak; p99 of the answered {tally.p99():.0f} ms of "
        f"{DEADLINE * 1e3:.0f}; recovered after {back:.1f} s",
    )
    assert offered.unasked == 0, "every 429 says when to come back"
    assert tally.statuses[429] > tally.asked / 3
    assert all(how.startswith("answer 504") for how in late)
    assert len(late) < accepted / 5
