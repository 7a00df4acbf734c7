"""Replicas are killed, restarted, upgraded and hung behind a balancer, and nothing is lost."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.conftest import SHIPPED
from tests.deploy.faults.balanced import Balanced, Replica
from tests.deploy.faults.clients import Question, Tally, ask
from tests.service.harms import vouch

COUNT = int(os.environ.get("FAULT_REQUESTS", "600"))
PATH = "/v1/models/digits/predict"
JSON = {"Content-Type": "application/json"}
LENGTHS = (1, 20, 70, 200, 700, 2000, 7000, 36_000)  # the last is a body of 900 kB


def same(found: bytes, wanted: bytes) -> bool:
    """The outputs; times differ."""
    one, other = json.loads(found), json.loads(wanted)
    return bool(one["outputs"] == other["outputs"])


def questions(balanced: Balanced) -> list[Question]:
    """As the balancer answers them while all is well."""
    rng = np.random.default_rng(0)
    found = []
    for length in LENGTHS:
        rows = rng.integers(0, 9, (length, 3)) + rng.random((length, 3)).round(4)
        body = json.dumps({"sequences": [rows.tolist()]}).encode()
        assert len(body) <= 950_000
        answer = httpx.post(balanced.url + PATH, content=body, headers=JSON, timeout=60)
        assert answer.status_code == 200, answer.text
        found.append(Question.of(PATH, body, answer.content, **JSON))
    return found


def loaded(balanced: Balanced, fault: Callable[[], object]) -> Tally:
    """What comes of the requests of 32 clients before, during and after a fault."""

    async def run() -> Tally:
        asked, over = questions(balanced), [False]

        def stay(tally: Tally) -> bool:
            if tally.asked >= COUNT // 4:
                begun.set()
            return not over[0] or tally.asked < COUNT

        async def harm() -> None:
            await begun.wait()
            await asyncio.to_thread(fault)
            over[0] = True

        begun = asyncio.Event()
        tally, _ = await asyncio.gather(ask(balanced.port, asked, stay, same), harm())
        return tally

    return asyncio.run(asyncio.wait_for(run(), 600))


@pytest.mark.parametrize("kind", ["haproxy", "nginx"])
def test_a_replica_that_is_killed_fails_no_request(kind: str) -> None:
    def fault() -> None:
        balanced.replicas[0].kill()
        balanced.replicas[0].again()

    with Balanced(kind) as balanced:
        tally = loaded(balanced, fault)
    assert tally.failed == []


def one_by_one(replicas: list[Replica]) -> None:
    for replica in replicas:
        replica.terminate()
        replica.again()


@pytest.mark.parametrize("kind", ["haproxy", "nginx"])
def test_a_restart_of_every_replica_in_turn_fails_no_request(kind: str) -> None:
    with Balanced(kind, grace_seconds=2) as balanced:
        tally = loaded(balanced, lambda: one_by_one(balanced.replicas))
    assert tally.failed == []


def test_an_upgrade_of_every_replica_in_turn_fails_no_request(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED / "digits", tmp_path / "digits")

    def fault() -> None:
        shutil.copytree(SHIPPED / "digits" / "1", tmp_path / "digits" / "2")
        vouch(tmp_path / "digits" / "2", version="2")
        one_by_one(balanced.replicas)

    with Balanced("haproxy", models=tmp_path, grace_seconds=2) as balanced:
        tally = loaded(balanced, fault)
        info = httpx.get(f"{balanced.url}/v1/models/digits").json()
    assert tally.failed == []
    assert info["version"] == "2"


def test_a_replica_that_hangs_is_out_within_three_seconds() -> None:
    hung = [0.0]

    def fault() -> None:
        balanced.replicas[0].kill(signal.SIGSTOP)
        hung[0] = time.monotonic()
        time.sleep(6)
        balanced.replicas[0].kill(signal.SIGCONT)

    with Balanced("haproxy") as balanced:
        tally = loaded(balanced, fault)
    late = [how for when, how in tally.failed if when > hung[0] + 3]
    assert late == []
