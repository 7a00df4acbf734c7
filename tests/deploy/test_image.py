"""The built image, run as hardened as in production: it serves, and holds what serving needs.

Needs a docker daemon and the image of `make image`; where either is missing nothing here runs.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.container

IMAGE = os.environ.get("IMAGE", "sumserve:dev")
DOCKER = shutil.which("docker", path="/usr/bin") or "docker"
BUNDLES = Path(__file__).parents[2] / "deploy" / "bundles"
PYTHON = "/opt/venv/bin/python3"
START_SECONDS, STOP_SECONDS = 90, 40
HARDENED = (
    *("--read-only", "--tmpfs=/tmp:rw,size=16m,noexec", "--cap-drop=ALL"),
    *("--security-opt=no-new-privileges", "--memory=512m", "--pids-limit=128"),
)


def call(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([DOCKER, *args], capture_output=True, text=True, timeout=120)


def docker(*args: str) -> str:
    """What ``docker ARGS`` prints, or the test's failure."""
    done = call(*args)
    if done.returncode:
        pytest.fail(f"docker {' '.join(args)}: {done.stderr}")
    return done.stdout.strip()


@dataclass(frozen=True, slots=True)
class Container:
    name: str
    url: str

    def state(self, field: str) -> str:
        return docker("inspect", "--format", f"{{{{.State.{field}}}}}", self.name)

    def python(self, code: str) -> str:
        return docker("exec", self.name, PYTHON, "-c", code)

    def log(self) -> str:
        return call("logs", self.name).stderr

    def wait_until_healthy(self) -> None:
        """Healthy by the image's own HEALTHCHECK, or a failure that shows the log."""
        deadline = time.monotonic() + START_SECONDS
        while self.state("Health.Status") != "healthy":
            if self.state("Running") != "true" or time.monotonic() > deadline:
                pytest.fail(f"not healthy: {self.state('Health.Status')}\n{self.log()}")
            time.sleep(0.2)


@contextmanager
def started() -> Iterator[Container]:
    """A healthy container on a free port of loopback, removed at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    container = Container(f"sumserve-test-{uuid.uuid4().hex[:8]}", f"http://127.0.0.1:{port}")
    options = ("--detach", f"--name={container.name}", "--network=host", "--health-interval=1s")
    settings = ("--env=SUMSERVE_HOST=127.0.0.1", f"--env=SUMSERVE_PORT={port}")
    try:
        docker("run", *options, *HARDENED, *settings, IMAGE)
        container.wait_until_healthy()
        yield container
    finally:
        call("rm", "--force", container.name)


@pytest.fixture(scope="module")
def image() -> str:
    if shutil.which(DOCKER) is None or call("info").returncode:
        pytest.skip("the image's tests did not run: no docker daemon answers")
    if call("image", "inspect", IMAGE).returncode:
        pytest.skip(f"the image's tests did not run: there is no image {IMAGE}")
    return IMAGE


@pytest.fixture(scope="module")
def container(image: str) -> Iterator[Container]:
    with started() as container:
        yield container


def predict(container: Container, sequences: list[list[int]]) -> httpx.Response:
    url = f"{container.url}/v1/models/digit_sum/predict"
    return httpx.post(url, json={"sequences": sequences}, trust_env=False)


def test_every_bundle_of_the_repository_is_served(container: Container) -> None:
    answer = httpx.get(f"{container.url}/v1/models", trust_env=False).json()
    served = {model["name"] for model in answer["models"]}
    assert served == {file.parent.parent.name for file in BUNDLES.glob("*/*/bundle.json")}
    assert "digit_sum" in served


def test_the_page_is_served_with_its_scripts(container: Container) -> None:
    for path in ("/", "/page/app.js", "/page/style.css"):
        assert httpx.get(container.url + path, trust_env=False).status_code == 200


def test_sequences_of_unequal_length_are_predicted(container: Container) -> None:
    answer = predict(container, [[1, 2, 3], [], [9, 9, 9, 9]])
    assert answer.status_code == 200, answer.text
    sums = [value for (value,) in answer.json()["outputs"]]
    assert sums == pytest.approx([6, 0, 36], abs=0.25)


def test_every_line_of_the_log_is_json(container: Container) -> None:
    predict(container, [[1]])
    lines = [json.loads(line) for line in container.log().splitlines()]
    assert lines[-1]["logger"] == "sumserve.access"


def test_the_server_runs_as_uid_10001_with_no_capability(container: Container) -> None:
    lines = container.python("print(open('/proc/1/status').read())").splitlines()
    status = {key: value.split() for key, _, value in (line.partition(":") for line in lines)}
    assert status["Uid"] == status["Gid"] == ["10001"] * 4
    assert int(status["CapEff"][0], 16) == 0
    assert status["NoNewPrivs"] == ["1"]


def test_the_user_may_write_nothing_of_what_runs_even_without_read_only(image: str) -> None:
    code = "import os; print([p for p in ('/', '/opt/venv', '/bundles') if os.access(p, os.W_OK)])"
    run = ("run", "--rm", "--network=none", f"--entrypoint={PYTHON}", image, "-c", code)
    assert docker(*run) == "[]"


def test_only_what_serving_needs_is_installed(container: Container) -> None:
    code = "import importlib.metadata as m; print(*(d.name.lower() for d in m.distributions()))"
    installed = set(container.python(code).split())
    assert {"sumserve", "onnxruntime"} <= installed
    assert not installed & {"torch", "onnx", "onnxscript", "scikit-learn", "pytest", "mypy", "pip"}


def test_docker_stop_ends_it_with_exit_code_zero(image: str) -> None:
    with started() as container:
        docker("stop", f"--time={STOP_SECONDS}", container.name)
        assert container.state("ExitCode") == "0", container.log()
