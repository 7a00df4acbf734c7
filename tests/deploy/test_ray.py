"""Two replicas under Ray Serve answer as a plain server does, and go without losing anything."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO, Any

import httpx
import pytest

from benchmarks.process import ServerProcess, free_port
from tests.conftest import ROOT, SHIPPED

PYTHON = ROOT / "build" / "ray" / "bin" / "python"
pytestmark = [
    pytest.mark.deploy,
    pytest.mark.skipif(
        not PYTHON.is_file(),
        reason="Ray Serve was not run: there is no build/ray; make test-clusters",
    ),
]
MODELS = f"models={SHIPPED}"
START_SECONDS, STOP_SECONDS = 120, 90
LONG = 8, 1_000_000  # requests, and tokens in each
PREDICT = "/v1/models/digit_sum/predict"
JSON = {"Content-Type": "application/json"}


def command(folder: str, port: int, *arguments: str) -> list[str]:
    """To run the application in a cluster of its own, whose files are in a folder."""
    script = ROOT / "tests" / "deploy" / "ray_cluster.py"
    return [str(PYTHON), str(script), str(port), folder, *arguments]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}


def read(pipe: IO[str], into: Queue[str | None]) -> None:
    """Each line as it comes, and None after the last."""
    with pipe:
        for line in pipe:
            into.put(line.strip())
    into.put(None)


@dataclass(frozen=True, slots=True)
class Cluster:
    url: str
    process: subprocess.Popen[str]
    errors: Path
    lines: Queue[str | None] = field(default_factory=Queue)

    def wait_for(self, word: str, seconds: float) -> None:
        """Take what it prints up to that word; a failure where it is silent, or ends."""
        deadline, line = time.monotonic() + seconds, ""
        while line != word:
            try:
                said = self.lines.get(timeout=max(0, deadline - time.monotonic()))
            except Empty:
                said = None
            if said is None:
                pytest.fail(f"not {word} in {seconds} s: {self.errors.read_text()[-2000:]}")
            line = said

    def end(self) -> None:
        """Gone, with all that Ray has started, even where it does not listen."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise

    def leave(self) -> None:
        """Take the application down, as Ray does."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def counted(self, name: str, labels: str = "") -> dict[str, float]:
        """A metric of whichever replica answers, by when that has started."""
        page = httpx.get(f"{self.url}/metrics", trust_env=False, timeout=60).text
        (started,) = re.findall(r"^process_start_time_seconds (\S+)$", page, re.M)
        values = re.findall(rf"^{name}{labels} (\S+)$", page, re.M)
        return {started: sum(map(float, values))}


@contextmanager
def running() -> Iterator[Cluster]:
    """Two replicas that are ready."""
    port = free_port()
    own = "min_replicas=2", "max_replicas=2", f"queue_tokens={LONG[0] * LONG[1]}"
    with (
        tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder,
        tempfile.NamedTemporaryFile("w") as errors,
    ):
        process = subprocess.Popen(
            command(folder, port, MODELS, *own),
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,  # not a pipe, which would be full one day
            text=True,
            start_new_session=True,
        )
        cluster = Cluster(f"http://127.0.0.1:{port}", process, Path(errors.name))
        reader = Thread(target=read, args=(process.stdout, cluster.lines), daemon=True)
        reader.start()
        try:
            cluster.wait_for("ready", START_SECONDS)
            yield cluster
        finally:
            cluster.end()
            reader.join(10)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def plain() -> Iterator[ServerProcess]:
    with ServerProcess(SHIPPED, grace_seconds=0) as server:
        yield server


def post(url: str, content: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.post(url, content=content, headers=headers or JSON, trust_env=False, timeout=120)


def numbers(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()["outputs"]


def test_answers_are_a_plain_servers_to_the_last_bit(
    cluster: Cluster, plain: ServerProcess
) -> None:
    body = b'{"sequences": [[1, 2, 3], [], [9, 9, 9, 9, 9]]}'
    assert numbers(post(cluster.url + PREDICT, body)) == numbers(post(plain.url + PREDICT, body))


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        (PREDICT, b"{", None),
        (PREDICT, b'{"sequences": [[1, 10]]}', None),
        (PREDICT, b'{"sequences": [["a"]]}', None),
        (PREDICT, b"1,2,3", {"Content-Type": "text/csv"}),
        ("/v1/models/nothing/predict", b"{}", None),
        ("/v2/models/digit_sum/infer", b'{"inputs": []}', None),
        ("/nowhere", b"", None),
    ],
)
def test_bad_input_gets_the_same_complaint(
    path: str,
    body: bytes,
    headers: dict[str, str] | None,
    cluster: Cluster,
    plain: ServerProcess,
) -> None:
    own, other = (post(server.url + path, body, headers) for server in (cluster, plain))
    assert 400 <= own.status_code < 500
    assert (own.status_code, own.json()) == (other.status_code, other.json())


def test_both_replicas_are_asked(cluster: Cluster) -> None:
    deadline = time.monotonic() + 60
    asked: dict[str, float] = {}
    while len([count for count in asked.values() if count]) < 2 and time.monotonic() < deadline:
        assert post(cluster.url + PREDICT, b'{"sequences": [[1]]}').status_code == 200
        asked |= cluster.counted("sumserve_requests_total", r'\{code="200",model="digit_sum".*\}')
    assert len(asked) == 2
    assert all(asked.values())


@pytest.mark.parametrize(
    ("argument", "named"),
    [
        ("thread=2", "unknown setting SUMSERVE_THREAD"),
        ("threads=many", "SUMSERVE_THREADS"),
        ("workers=2", "workers is not to be set"),
        ("min_replicas=few", "min_replicas"),
    ],
)
def test_settings_that_are_wrong_stop_it_before_anything_runs(argument: str, named: str) -> None:
    given = command("/nowhere", free_port(), MODELS, argument)
    done = subprocess.run(given, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert f"SettingsError: {named}" in done.stderr


def test_what_runs_when_it_is_taken_down_is_answered() -> None:
    """Its own cluster, as there is none afterwards."""
    count, tokens = LONG
    body = b'{"sequences": [[' + b",".join([b"7"] * tokens) + b"]]}"
    with running() as cluster, ThreadPoolExecutor(count) as clients:
        url = cluster.url + PREDICT
        answers = [clients.submit(post, url, body) for _ in range(count)]
        deadline = time.monotonic() + 60
        waiting: dict[str, float] = {}
        while sum(waiting.values()) < 2 and time.monotonic() < deadline:
            polls = [cluster.counted("sumserve_open_requests") for _ in range(4)]
            waiting = {own: count for poll in polls for own, count in poll.items()}
        assert sum(waiting.values()) >= 2, "everything was answered before it could be taken down"
        cluster.leave()
        assert [answer.result(120).status_code for answer in answers] == [200] * count
        cluster.wait_for("gone", STOP_SECONDS)
