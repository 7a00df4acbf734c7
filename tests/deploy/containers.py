"""Containers of the built image, run as hardened as in production, for the tests that need them."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest

from benchmarks.process import free_port

IMAGE = os.environ.get("IMAGE", "sumserve:dev")
DOCKER = shutil.which("docker", path="/usr/bin") or "docker"
PYTHON = "/opt/venv/bin/python3"
START_SECONDS = 90
HARDENED = (
    *("--read-only", "--tmpfs=/tmp:rw,size=16m,noexec", "--cap-drop=ALL"),
    *("--security-opt=no-new-privileges", "--memory=512m", "--pids-limit=128"),
)
INSTALLED = (  # what Python prints of an environment's distributions
    "import importlib.metadata as m;"
    "print(*sorted(f'{own.name}=={own.version}' for own in m.distributions()))"
)


def call(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([DOCKER, *args], capture_output=True, text=True, timeout=120)


def docker(*args: str) -> str:
    """What ``docker ARGS`` prints, or the test's failure."""
    done = call(*args)
    if done.returncode:
        pytest.fail(f"docker {' '.join(args)}: {done.stderr}")
    return done.stdout.strip()


def installed(image: str) -> list[str]:
    """The distributions in it, each as name==version."""
    run = ("run", "--rm", "--network=none", f"--entrypoint={PYTHON}", image, "-c", INSTALLED)
    return docker(*run).split()


def built_image() -> str:
    """Its name; where there is none, or no daemon, the tests that need it are skipped."""
    if shutil.which(DOCKER) is None or call("info").returncode:
        pytest.skip("the image's tests did not run: no docker daemon answers")
    if call("image", "inspect", IMAGE).returncode:
        pytest.skip(f"the image's tests did not run: there is no image {IMAGE}")
    return IMAGE


@dataclass(frozen=True, slots=True)
class Container:
    name: str
    port: int
    began: float  # on the monotonic clock

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def inspect(self, field: str) -> str:
        return docker("inspect", "--format", f"{{{{.{field}}}}}", self.name)

    def state(self, field: str) -> str:
        return self.inspect(f"State.{field}")

    def python(self, code: str) -> str:
        return docker("exec", self.name, PYTHON, "-c", code)

    def log(self) -> str:
        return call("logs", self.name).stderr

    def is_ready(self) -> bool:
        """Asked from outside."""
        try:
            answer = httpx.get(f"{self.url}/v2/health/ready", trust_env=False, timeout=1)
        except httpx.TransportError:
            return False
        return answer.status_code == 200

    def wait_until_ready(self) -> float:
        """Seconds since it was begun, or a failure that shows the log."""
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            if time.monotonic() > deadline:
                pytest.fail(f"not ready:\n{self.log()}")
            time.sleep(0.02)
        return time.monotonic() - self.began

    def wait_until_healthy(self) -> None:
        """Healthy by the image's own HEALTHCHECK, or a failure that shows the log."""
        deadline = time.monotonic() + START_SECONDS
        while self.state("Health.Status") != "healthy":
            if self.state("Running") != "true" or time.monotonic() > deadline:
                pytest.fail(f"not healthy: {self.state('Health.Status')}\n{self.log()}")
            time.sleep(0.2)


@contextmanager
def running(*options: str, **settings: object) -> Iterator[Container]:
    """A container of the image on a free port of loopback, removed at the end.

    Options are docker's, and win over those of HARDENED; settings are the server's.
    """
    port = free_port()
    name = f"sumserve-test-{uuid.uuid4().hex[:8]}"
    fixed = ("--detach", f"--name={name}", "--network=host", "--health-interval=1s")
    about = {"host": "127.0.0.1", "port": port, **settings}
    variables = (f"--env=SUMSERVE_{key.upper()}={value}" for key, value in about.items())
    began = time.monotonic()
    try:
        docker("run", *fixed, *HARDENED, *variables, *options, IMAGE)
        yield Container(name, port, began)
    finally:
        call("rm", "--force", name)
