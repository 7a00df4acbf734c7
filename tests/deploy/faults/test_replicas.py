"""Replicas are killed, restarted, upgraded and hung behind a balancer, and nothing is lost."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.conftest import SHIPPED
from tests.deploy.faults.balanced import BALANCERS, Balanced
from tests.deploy.faults.clients import Tally, questions
from tests.deploy.faults.conftest import Measured
from tests.deploy.faults.harm import harmed, one_by_one
from tests.service.harms import vouch
from tests.streaming import until


def lost(tally: Tally) -> str:
    return f"{len(tally.failed)} of {tally.asked:,} failed"


@BALANCERS
def test_a_replica_that_is_killed_fails_no_request(kind: str, measured: Measured) -> None:
    def fault() -> None:
        balanced.replicas[0].process.kill()
        balanced.replicas[0].again()

    with Balanced(kind) as balanced:
        tally = harmed(balanced.port, questions(balanced.port), fault)
    measured(f"kill -9 of a replica, {kind}", lost(tally))
    assert tally.failed == []


@BALANCERS
def test_a_restart_of_every_replica_in_turn_fails_no_request(kind: str, measured: Measured) -> None:
    with Balanced(kind, grace_seconds=2) as balanced:
        asked = questions(balanced.port)
        tally = harmed(balanced.port, asked, lambda: one_by_one(balanced.replicas))
    measured(f"SIGTERM and restart of every replica, {kind}", lost(tally))
    assert tally.failed == []


@pytest.mark.deploy
def test_an_upgrade_of_every_replica_in_turn_fails_no_request(
    tmp_path: Path, measured: Measured
) -> None:
    shutil.copytree(SHIPPED / "digits", tmp_path / "digits")

    def fault() -> None:
        shutil.copytree(SHIPPED / "digits" / "1", tmp_path / "digits" / "2")
        vouch(tmp_path / "digits" / "2", version="2")
        one_by_one(balanced.replicas)

    with Balanced("haproxy", models=tmp_path, grace_seconds=2) as balanced:
        tally = harmed(balanced.port, questions(balanced.port), fault)
        info = httpx.get(f"{balanced.url}/v1/models/digits").json()
    measured("rolling upgrade to another version", lost(tally))
    assert tally.failed == []
    assert info["version"] == "2"


@pytest.mark.deploy
def test_a_replica_that_hangs_is_out_within_three_seconds(measured: Measured) -> None:
    hung, out = [0.0], [0.0]

    def fault() -> None:
        process = balanced.replicas[0].process
        process.send_signal(signal.SIGSTOP)
        hung[0] = time.monotonic()
        try:
            until(lambda: not balanced.is_up(1))
            out[0] = time.monotonic() - hung[0]
            time.sleep(3)
        finally:
            process.send_signal(signal.SIGCONT)
        until(lambda: balanced.is_up(1))

    with Balanced("haproxy") as balanced:
        tally = harmed(balanced.port, questions(balanced.port), fault)
    later = [how for when, how in tally.failed if when > hung[0] + 3]
    measured("a replica hangs (SIGSTOP)", f"out after {out[0]:.1f} s; {lost(tally)}")
    assert out[0] < 3
    assert later == []


@pytest.mark.deploy
def test_larger_bodies_are_lost_with_the_replica_that_has_them_and_only_those(
    measured: Measured,
) -> None:
    def fault() -> None:
        balanced.replicas[0].process.kill()
        balanced.replicas[0].again()

    with Balanced("haproxy") as balanced:
        asked = questions(balanced.port, (20, 20, 20, 60_000))
        tally = harmed(balanced.port, asked, fault, clients=8)
    measured("kill -9, every fourth body of 1.6 MB, 8 clients", lost(tally))
    assert len(tally.failed) <= 8
    assert all("502" in how or "of 60000 tokens" in how for _, how in tally.failed), tally.failed
