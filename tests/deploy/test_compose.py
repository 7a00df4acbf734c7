"""deploy/compose.yaml as it ships: two replicas behind HAProxy, really run; the rest is checked.

Needs docker-compose, a docker daemon and the image of `make image`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.deploy.composed import FILE, RUN, Project, project
from tests.deploy.containers import IMAGE, docker
from tests.service.processes import until

__all__ = ["project"]
pytestmark = [pytest.mark.container, pytest.mark.deploy]


def test_every_service_of_the_file_is_valid(project: Project) -> None:
    services = set(project.compose("config", "--services").split())
    assert services == {*RUN, "prometheus", "grafana"}


def test_the_request_that_the_file_itself_names_is_answered(project: Project) -> None:
    (command,) = re.findall(r"^#     (curl .*)$", FILE.read_text(), re.M)
    (total,) = json.loads(project.run(command))["outputs"][0]
    assert total == pytest.approx(6, abs=0.25)


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
def test_every_container_is_bounded(project: Project, service: str) -> None:
    assert int(project.inspect(service, ".HostConfig.Memory")) >= 512 * 2**20
    assert 0 < int(project.inspect(service, ".HostConfig.PidsLimit")) <= 256


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


ADDRESS = "range .NetworkSettings.Networks}}{{.IPAddress}}{{end"


@contextmanager
def squatting(project: Project) -> Iterator[str]:
    """The address that a container has which serves nothing, in the replicas' network."""
    name, network = f"{project.name}-squatter", f"--network={project.name}_replicas"
    options = ("--detach", f"--name={name}", network, "--entrypoint=python3")
    docker("run", *options, IMAGE, "-c", "import time; time.sleep(600)")
    try:
        yield docker("inspect", "--format", f"{{{{{ADDRESS}}}}}", name)
    finally:
        docker("rm", "--force", name)


def test_a_replica_that_comes_back_with_another_address_is_found(project: Project) -> None:
    before = project.inspect("sumserve-1", ADDRESS)
    docker("rm", "--force", project.container("sumserve-1"))
    with squatting(project) as taken:
        assert taken == before
        until(lambda: project.states()[0] != "UP", "it is not missed")
        project.compose("up", "--detach", "--no-deps", "sumserve-1")
        until(project.ready, "it is not found")
        assert project.inspect("sumserve-1", ADDRESS) != before
    assert project.predict() == 200


def test_a_replica_s_only_network_is_one_that_docker_lets_nothing_out_of(project: Project) -> None:
    """By docker's own word: where a daemon has no iptables nothing can be tried."""
    (own,) = json.loads(project.inspect("sumserve-1", "json .NetworkSettings.Networks"))
    assert docker("network", "inspect", "--format={{.Internal}}", own) == "true"


def console(holding: str) -> str:
    """The runbook's commands for the compose project that have some words in them."""
    text = (ROOT / "deploy" / "RUNBOOK.md").read_text()
    blocks = re.findall(r"^```console\n(.*?)^```$", text, re.M | re.S)
    (block,) = [one for one in blocks if holding in one]
    return "".join(line for line in block.splitlines(True) if "kubectl" not in line)


def test_the_runbook_s_addresses_lead_to_a_replica_the_balancer_and_a_log(
    project: Project, tmp_path: Path
) -> None:
    script = console("address()").replace("replica.log", str(tmp_path / "replica.log"))
    printed = project.run(script + 'curl -sf "$SERVER/metrics" "$BALANCER/metrics"; cat "$LOG"')
    assert "\nsumserve_ready 1" in printed
    assert "\nhaproxy_server_status{" in printed
    assert '"logger":"sumserve' in printed


def test_the_runbook_says_how_a_replica_ended(project: Project) -> None:
    assert re.fullmatch(r"false 0 \d+\n", project.run(console("OOMKilled")))


def test_the_runbook_names_who_was_refused_by_the_balancer_s_log(project: Project) -> None:
    """Nobody was: so whoever was answered, in the same way."""
    assert project.predict() == 200
    printed = project.run(console("$6 == 429").replace("429", "200"))
    assert re.search(r"^ +\d+ [\d.]+$", printed, re.M)


def test_the_runbook_s_cold_rollout_makes_every_replica_anew(project: Project) -> None:
    """But for --wait, which docker-compose 1.29 has not: so it is waited for here."""
    script = console("--force-recreate")
    assert "--wait" in script
    before = {project.container(name) for name in RUN[:2]}
    for line in script.replace("--wait ", "").splitlines():
        project.run(line)
        until(project.ready, "they do not come back")
    assert not before & {project.container(name) for name in RUN[:2]}
    assert project.predict() == 200
