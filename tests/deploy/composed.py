"""The compose project as its tests run it: with images that are at hand, on ports that are free."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from benchmarks.process import free_port
from tests.conftest import ROOT
from tests.deploy.containers import DOCKER, IMAGE, built_image, docker
from tests.service.processes import until

COMPOSE = shutil.which("docker-compose")
FILE = ROOT / "deploy" / "compose.yaml"
RUN = ("sumserve-1", "sumserve-2", "haproxy")  # Prometheus and Grafana have no image everywhere
BALANCER = """
ARG BASE
FROM $BASE
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends haproxy
USER haproxy
"""


@dataclass(frozen=True, slots=True)
class Project:
    name: str
    port: int
    environment: dict[str, str]

    def compose(self, *args: str) -> str:
        """What it prints; the test's failure where it fails."""
        assert COMPOSE
        command = [COMPOSE, "--project-name", self.name, "--file", str(FILE), *args]
        environment = os.environ | self.environment
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def container(self, service: str) -> str:
        return self.compose("ps", "--quiet", service)

    def inspect(self, service: str, field: str) -> str:
        return docker("inspect", "--format", f"{{{{{field}}}}}", self.container(service))

    def run(self, script: str) -> str:
        """What a shell prints that has this project where docs have compose and its port."""
        own = f"{COMPOSE} --project-name {self.name} --file"
        script = script.replace("docker compose --file", own).replace(":8080/", f":{self.port}/")
        environment = os.environ | self.environment | {"NO_PROXY": "*"}
        command = ["bash", "-euo", "pipefail", "-c", script]
        done = subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=180
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def predict(self) -> int:
        """The status of an answer through the balancer."""
        url = f"http://127.0.0.1:{self.port}/v1/models/digit_sum/predict"
        body = {"sequences": [[1, 2, 3]]}
        return httpx.post(url, json=body, trust_env=False, timeout=30).status_code

    def states(self) -> list[str]:
        """Of the replicas in turn, as the balancer sees them: UP, DOWN, MAINT..."""
        command = ("exec", self.container("haproxy"), "bash", "-c", STATES)
        return [line.split(",")[17].split()[0] for line in docker(*command).splitlines()]

    def ready(self) -> bool:
        return self.states() == ["UP", "UP"]


# What HAProxy knows of the replicas, by the port that only containers reach.
STATES = (
    "exec 3<>/dev/tcp/127.0.0.1/8404; printf 'GET /;csv HTTP/1.0\\r\\n\\r\\n' >&3;"
    " grep ^replicas,replica <&3 || true"
)


def balancer() -> str:
    """HAProxy's image: the one named, or one of Debian's package on the base that is used here."""
    built_image()
    named, base = os.environ.get("HAPROXY_IMAGE"), os.environ.get("BASE_IMAGE")
    if named or not base:
        return named or "haproxy:2.8"
    build = ("build", "--quiet", "--network=host", "--tag=sumserve-haproxy:test", "-")
    command = [DOCKER, *build[:-1], f"--build-arg=BASE={base}", build[-1]]
    environment = os.environ | {"DOCKER_BUILDKIT": "1"}
    done = subprocess.run(
        command, input=BALANCER, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return "sumserve-haproxy:test"


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    """Up, and seen so by the balancer; down again afterwards."""
    if COMPOSE is None:
        pytest.skip("nothing was composed: there is no docker-compose")
    port = free_port()
    image = balancer()
    ports = {"HTTP_PORT": str(port), "GRPC_PORT": str(free_port())}
    images = {"IMAGE": IMAGE, "HAPROXY_IMAGE": image}
    project = Project(f"sumserve{uuid.uuid4().hex[:8]}", port, ports | images)
    try:
        project.compose("up", "--detach", *RUN)
        until(project.ready, "the balancer does not see two replicas")
        yield project
    finally:
        project.compose("down", "--volumes")
