"""Workers and their parent end, or are made to, under load."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

from benchmarks.process import ServerProcess
from tests.conftest import SHIPPED
from tests.service.processes import gone, until, workers
from tests.service.test_workers_served import METRICS, READY, STATS, samples
from tests.test_load import post, post_one

CLIENTS = 16
BODY = json.dumps({"sequences": [np.zeros((1500, 3)).tolist()]}).encode()


def ready(process: ServerProcess) -> bool:
    try:
        return httpx.get(process.url + READY, timeout=3).status_code == 200
    except httpx.TransportError:
        return False


class Clients:
    """So many, each on a connection of its own, until each has been refused, or told to leave."""

    def __init__(self, process: ServerProcess) -> None:
        self.process = process
        self.answers: Counter[int] = Counter()
        self.failed: list[str] = []  # ids of requests
        self.last: dict[int, str] = {}  # client -> id of its last answered request
        self.before: dict[str, str] = {}  # id of a failed request -> the one before

    async def client(self, number: int, stay: Callable[[], bool]) -> None:
        async with httpx.AsyncClient(base_url=self.process.url, timeout=60) as http:
            count = 0
            while stay():
                name, count = f"{number}.{count}", count + 1
                try:
                    answer = await post("digits", BODY, headers={"X-Request-Id": name})(http)
                except httpx.TransportError:
                    self.failed.append(name)
                    self.before[name] = self.last.get(number, "")
                    continue
                self.answers[answer.status_code] += 1
                self.last[number] = name

    async def run(self, stay: Callable[[], bool]) -> None:
        await asyncio.gather(*(self.client(number, stay) for number in range(CLIENTS)))


def test_a_killed_worker_is_back_and_only_its_connections_fail() -> None:
    async def run(clients: Clients) -> int:
        load = asyncio.ensure_future(clients.run(lambda: not over.is_set()))
        await asyncio.to_thread(until, lambda: len(clients.last) == CLIENTS, "no load")
        first = workers(clients.process)
        os.kill(first[1], signal.SIGKILL)
        await asyncio.to_thread(
            until, lambda: workers(clients.process)[1] != first[1], "no new worker"
        )
        await asyncio.to_thread(until, lambda: ready(clients.process), "not ready again")
        failed, answered = len(clients.failed), clients.answers.total()
        await asyncio.to_thread(
            until, lambda: clients.answers.total() > answered + 100, "no more answers"
        )
        over.set()
        await load
        assert len(clients.failed) == failed, "after it was back"
        assert workers(clients.process)[0] == first[0]
        return first[1]

    over = asyncio.Event()
    with ServerProcess(SHIPPED, workers=2, grace_seconds=0) as process:
        clients = Clients(process)
        killed = asyncio.run(run(clients))
        lines = process.log_lines()
        process.terminate()
        assert process.process.wait(30) == 0
    assert set(clients.answers) == {200}
    owner = {line["request_id"]: line["worker"] for line in lines if line.get("model")}
    before = [clients.before[name] for name in clients.failed]
    assert {owner.get(name, 1) for name in before} <= {1}, "its last line may not be written"
    clients_of_failed = [name.partition(".")[0] for name in clients.failed]
    assert len(clients_of_failed) == len(set(clients_of_failed)), "failed again on a new connection"
    (ended,) = (line for line in lines if line["message"].startswith("a worker has ended"))
    assert (ended["worker"], ended["pid"], ended["exit"]) == (1, killed, -signal.SIGKILL)


def to_parent(sig: signal.Signals) -> Callable[[ServerProcess], None]:
    return lambda process: process.process.send_signal(sig)


def to_all(sig: signal.Signals) -> Callable[[ServerProcess], None]:
    """As a terminal does, and some service managers."""

    def send(process: ServerProcess) -> None:
        for pid in (*workers(process).values(), process.process.pid):
            os.kill(pid, sig)

    return send


@pytest.mark.parametrize(
    ("end", "grace", "code"),
    [
        (to_parent(signal.SIGTERM), 0, 0),
        (to_parent(signal.SIGTERM), 1, 0),
        (to_all(signal.SIGTERM), 1, 0),
        (to_parent(signal.SIGINT), 0, 0),
        (to_all(signal.SIGINT), 0, 0),
        (to_parent(signal.SIGKILL), 0, -signal.SIGKILL),
    ],
    ids=["SIGTERM", "grace", "SIGTERM to all", "SIGINT", "Ctrl-C", "SIGKILL of the parent"],
)
def test_the_end_in_the_middle_of_a_load_loses_no_accepted_request(
    end: Callable[[ServerProcess], None], grace: float, code: int, tmp_path: Path
) -> None:
    """Every request that a worker read is answered, and every answer reaches its client."""

    class Process(ServerProcess):
        _environment = os.environ | {"TMPDIR": str(tmp_path)}

    async def run(clients: Clients) -> None:
        load = asyncio.ensure_future(clients.run(lambda: not clients.failed))
        await asyncio.to_thread(until, lambda: clients.answers.total() >= 100, "no load")
        end(clients.process)
        await load

    with Process(SHIPPED, workers=2, grace_seconds=grace) as process:
        assert list(tmp_path.iterdir())
        clients = Clients(process)
        asyncio.run(run(clients))
        assert process.process.wait(30) == code
        for pid in workers(process).values():
            until(lambda pid=pid: gone(pid), "a worker stays")  # type: ignore[misc]
        logged = [line for line in process.log_lines() if line.get("model")]
    assert {line["status"] for line in logged} == {200}
    assert clients.answers == {200: len(logged)}
    assert not list(tmp_path.iterdir())


def test_a_server_with_a_worker_that_does_not_answer_is_not_ready_until_it_does() -> None:
    def said(path: str) -> httpx.Response | None:
        """By the other one: who is stopped says nothing."""
        try:
            return httpx.get(process.url + path, timeout=3)
        except httpx.TimeoutException:
            return None

    with ServerProcess(SHIPPED, workers=2, grace_seconds=0) as process:
        stopped = workers(process)[1]
        os.kill(stopped, signal.SIGSTOP)
        try:
            found = until(lambda: said(READY), "nobody answers")
            assert found.status_code == 503
            assert found.json() == {"error": "not ready: worker 1 does not answer"}
            counts = until(lambda: said(STATS), "nobody answers")
            assert counts.status_code == 503
            assert "worker 1 does not answer" in counts.json()["error"]
            page = until(lambda: said(METRICS), "nobody answers").text
            assert samples(page, "sumserve_worker_up") == {"0": 1, "1": 0}
            assert samples(page, "sumserve_ready") == {"0": 1}
        finally:
            os.kill(stopped, signal.SIGCONT)
        assert until(lambda: ready(process), "not ready again")
        assert [post_one(process.url).status_code for _ in range(10)] == [200] * 10
        assert workers(process)[1] == stopped
