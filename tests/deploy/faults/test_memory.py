"""A container comes to its memory limit under load, and the kernel ends what is too large in it.

By what an operator meets: a limit that is too low for the bodies that the server's own limits let
in. A JSON body takes several times its size while it is parsed.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime

import httpx
import pytest

from benchmarks.process import free_port
from tests.conftest import ROOT
from tests.deploy.containers import Container, built_image, docker, running
from tests.deploy.faults.clients import JSON, questions
from tests.deploy.faults.conftest import Measured
from tests.deploy.faults.harm import harmed
from tests.service.processes import until

pytestmark = [pytest.mark.container, pytest.mark.deploy]

HAPROXY = ROOT / "deploy" / "haproxy" / "haproxy.cfg"
LARGE = b'{"sequences": [[' + b",".join([b"[0.1234, 0.1234, 0.1234]"] * 2_400_000) + b"]]}"  # 60 MB


@contextmanager
def balanced(*replicas: Container) -> Iterator[int]:
    """The port of HAProxy, configured as shipped."""
    about = {f"REPLICA_{i}": f"127.0.0.1:{own.port}" for i, own in enumerate(replicas, 1)}
    port = free_port()
    environment = os.environ | about | {"ADDRESS": "127.0.0.1", "PORT": str(port)}
    process = subprocess.Popen(
        ["haproxy", "-db", "-f", str(HAPROXY)], env=environment, stdout=subprocess.DEVNULL
    )
    try:
        until(Container("balancer", port, 0.0).is_ready, "nothing is balanced")
        yield port
    finally:
        process.kill()
        process.wait()


def exhaust(container: Container) -> float:
    """Ask for what does not fit; the time of day when the kernel ended what was too large."""

    def post(_: int) -> None:
        url = f"{container.url}/v1/models/digits/predict"
        with suppress(httpx.TransportError):
            httpx.post(url, content=LARGE, headers=JSON, timeout=60, trust_env=False)

    began = time.time()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(post, range(3)))
    asked = ("events", f"--since={began}", f"--until={time.time()}", "--format={{.TimeNano}}")
    ended = docker(*asked, f"--filter=container={container.name}", "--filter=event=oom").split()
    assert ended, "its memory was enough"
    return int(ended[0]) / 1e9


def served_again(container: Container, ended: float) -> float:
    """Seconds from then until a server in it had started; 0 when none has yet."""
    for line in container.log().splitlines():
        said = json.loads(line)
        seconds = datetime.fromisoformat(said["time"]).timestamp() - ended
        if said["message"] == "Application startup complete." and seconds > 0:
            return seconds
    return 0.0


@pytest.mark.parametrize(("workers", "memory"), [(1, "512m"), (2, "640m")])
def test_at_its_memory_limit_a_container_serves_again_in_five_seconds_and_no_client_notices(
    workers: int, memory: str, measured: Measured
) -> None:
    built_image()
    seconds = []

    def fault() -> None:
        ended = exhaust(small)
        seconds.append(until(lambda: served_again(small, ended), "it is not started again"))
        until(small.is_ready, "it is not ready again")

    limit = ("--restart=always", f"--memory={memory}", f"--memory-swap={memory}")
    with running(*limit, workers=workers) as small, running() as other:
        for container in (small, other):
            container.wait_until_ready()
        with balanced(small, other) as port:
            tally = harmed(port, questions(f"http://127.0.0.1:{port}"), fault)
        restarts = int(small.inspect("RestartCount"))
    row = f"memory limit hit in the container, {workers} worker{'s'[: workers - 1]}"
    measured(row, f"{len(tally.failed)} of {tally.asked:,} failed, serving in {seconds[0]:.1f} s")
    assert tally.failed == []
    assert seconds[0] <= 5
    assert restarts == (1 if workers == 1 else 0)  # a worker is its supervisor's affair
