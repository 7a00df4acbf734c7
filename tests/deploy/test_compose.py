"""deploy/compose.yaml as it ships: two replicas behind HAProxy, really run; the rest is checked.

Needs docker-compose, a docker daemon and the image of `make image`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from benchmarks.process import free_port
from tests.conftest import ROOT
from tests.deploy.containers import DOCKER, IMAGE, built_image, docker
from tests.service.processes import until

pytestmark = [pytest.mark.container, pytest.mark.deploy]

COMPOSE = shutil.which("docker-compose")
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
        file = str(ROOT / "deploy" / "compose.yaml")
        command = [COMPOSE, "--project-name", self.name, "--file", file, *args]
        environment = os.environ | self.environment
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def container(self, service: str) -> str:
        return self.compose("ps", "--quiet", service)

    def inspect(self, service: str, field: str) -> str:
        return docker("inspect", "--format", f"{{{{{field}}}}}", self.container(service))

    def predict(self) -> int:
        """The status of an answer through the balancer."""
        url = f"http://127.0.0.1:{self.port}/v1/models/digit_sum/predict"
        body = {"sequences": [[1, 2, 3]]}
        return httpx.post(url, json=body, trust_env=False, timeout=30).status_code

    def ready(self) -> bool:
        """Both replicas, as the balancer sees them."""
        command = ("exec", self.container("haproxy"), "bash", "-c", STATES)
        return docker(*command).count(",UP,") == 2


# What HAProxy knows of the replicas, by the port that only containers reach.
STATES = (
    "exec 3<>/dev/tcp/127.0.0.1/8404; printf 'GET /;csv HTTP/1.0\\r\\n\\r\\n' >&3;"
    " grep ^replicas,replica <&3 || true"
)


@pytest.fixture(scope="module")
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
def project(balancer: str) -> Iterator[Project]:
    if COMPOSE is None:
        pytest.skip("nothing was composed: there is no docker-compose")
    port = free_port()
    ports = {"HTTP_PORT": str(port), "GRPC_PORT": str(free_port())}
    images = {"IMAGE": IMAGE, "HAPROXY_IMAGE": balancer}
    project = Project(f"sumserve{uuid.uuid4().hex[:8]}", port, ports | images)
    try:
        project.compose("up", "--detach", *RUN)
        until(project.ready, "the balancer does not see two replicas")
        yield project
    finally:
        project.compose("down", "--volumes")


def test_every_service_of_the_file_is_valid(project: Project) -> None:
    text = project.compose("config")
    assert {"haproxy", "sumserve-1", "sumserve-2"} <= set(
        project.compose("config", "--services").split()
    )
    assert "read_only: true" in text


def test_a_request_through_the_balancer_is_answered(project: Project) -> None:
    assert project.predict() == 200


def test_only_the_balancer_is_reached_from_outside_and_from_this_machine_only(
    project: Project,
) -> None:
    published = {name: project.inspect(name, "json .HostConfig.PortBindings") for name in RUN}
    assert published["sumserve-1"] == published["sumserve-2"] == "{}"
    assert published["haproxy"].count('"HostIp":"127.0.0.1"') == 2
    assert published["haproxy"].count("HostPort") == 2


@pytest.mark.parametrize("service", RUN)
def test_every_container_is_closed(project: Project, service: str) -> None:
    assert project.inspect(service, ".HostConfig.ReadonlyRootfs") == "true"
    assert project.inspect(service, ".HostConfig.CapDrop") == "[ALL]"
    assert "no-new-privileges" in project.inspect(service, ".HostConfig.SecurityOpt")
    assert project.inspect(service, ".Config.User") not in ("", "root", "0")


def test_replicas_are_healthy_by_their_own_check(project: Project) -> None:
    def healthy() -> bool:
        states = {project.inspect(name, ".State.Health.Status") for name in RUN[:2]}
        return states == {"healthy"}

    until(healthy, "they are not healthy")
    assert project.inspect("sumserve-1", "len .State.Health.Log") != "0"


def test_a_replica_s_container_that_is_killed_is_started_again_and_requests_are_answered(
    project: Project,
) -> None:
    os.kill(int(project.inspect("sumserve-1", ".State.Pid")), signal.SIGKILL)
    statuses, deadline = set(), time.monotonic() + 60
    while project.inspect("sumserve-1", ".RestartCount") != "1" or not project.ready():
        statuses.add(project.predict())
        assert time.monotonic() < deadline, "it is not started again"
    assert statuses | {project.predict()} == {200}


def test_a_replica_that_comes_back_with_another_address_is_found(project: Project) -> None:
    address = "range .NetworkSettings.Networks}}{{.IPAddress}}{{end"
    before = project.inspect("sumserve-1", address)
    squatter = f"{project.name}-squatter"
    docker("rm", "--force", project.container("sumserve-1"))
    network = f"--network={project.name}_default"
    docker("run", "--detach", f"--name={squatter}", network, IMAGE)
    try:
        project.compose("up", "--detach", "--no-deps", "sumserve-1")
        until(project.ready, "it is not found")
        assert project.inspect("sumserve-1", address) != before
    finally:
        docker("rm", "--force", squatter)
