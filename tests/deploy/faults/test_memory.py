"""A container comes to its memory limit under load, and the kernel ends what is too large in it.

By what an operator meets: a limit that is too low for the bodies that the server's own limits let
in. A JSON body takes several times its size while it is parsed.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime

import httpx
import pytest

from benchmarks.process import free_port
from tests.deploy.containers import Container, built_image, docker, running
from tests.deploy.faults.clients import JSON, questions
from tests.deploy.faults.conftest import Measured
from tests.deploy.faults.harm import harmed
from tests.deploy.haproxy import balancing
from tests.service.processes import until

pytestmark = [pytest.mark.container, pytest.mark.deploy]

LARGE = b'{"sequences": [[' + b",".join([b"[0.1234, 0.1234, 0.1234]"] * 2_400_000) + b"]]}"  # 60 MB


@contextmanager
def balanced(*replicas: Container) -> Iterator[int]:
    """The port of HAProxy, configured as shipped."""
    port = free_port()
    with balancing([own.port for own in replicas], port):
        until(Container("balancer", port, 0.0).is_ready, "nothing is balanced")
        yield port


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


def longest_silence(container: Container, over: threading.Event) -> float:
    """The most seconds, until then, between two times at which it said that it is ready."""
    longest, heard = 0.0, time.monotonic()
    while not over.is_set():
        if container.is_ready():
            now = time.monotonic()
            longest, heard = max(longest, now - heard), now
        over.wait(0.02)
    return max(longest, time.monotonic() - heard)


@pytest.mark.parametrize(("workers", "memory"), [(1, "512m"), (2, "640m")])
def test_at_its_memory_limit_a_container_serves_again_in_five_seconds_and_no_client_notices(
    workers: int, memory: str, measured: Measured
) -> None:
    built_image()
    if shutil.which("haproxy") is None:
        pytest.skip("no memory limit was hit: there is no haproxy; apt-get install haproxy")
    found: list[tuple[float, float]] = []

    def fault() -> None:
        over = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            silence = pool.submit(longest_silence, small, over)
            try:
                ended = exhaust(small)
                again = until(lambda: served_again(small, ended), "nothing is started again")
                until(small.is_ready, "it is not ready again")
            finally:
                over.set()
            found.append((silence.result(), again))

    limit = ("--restart=always", f"--memory={memory}", f"--memory-swap={memory}")
    with running(*limit, workers=workers) as small, running() as other:
        for container in (small, other):
            container.wait_until_ready()
        with balanced(small, other) as port:
            tally = harmed(port, questions(port), fault)
        restarts = int(small.inspect("RestartCount"))
    ((silent, again),) = found
    row = f"memory limit hit in a container of {workers} worker{'s'[: workers - 1]}"
    lost = f"{len(tally.failed)} of {tally.asked:,} failed"
    measured(
        row, f"{lost}; silent for {silent:.1f} s, what was ended serves again in {again:.1f} s"
    )
    assert tally.failed == []
    assert silent <= 5  # where containers get CPU: all of them together may weigh as one process
    assert restarts == (1 if workers == 1 else 0)  # a worker is its supervisor's affair
