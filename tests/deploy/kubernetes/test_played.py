"""The chart's Deployment really run, by podman, which plays what is written for Kubernetes."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.process import free_port
from tests.conftest import ROOT, SHIPPED
from tests.deploy.kubernetes.rendered import ask, needs_tools, question

PODMAN = ROOT / "build" / "podman"
IMAGE = {"repository": "localhost/sumserve", "tag": "played"}
COPIED = {"image": "localhost/sumserve:played", "command": ["cp", "-r", "/bundles/.", "/models/"]}
VALUES: dict[str, dict[str, Any]] = {
    "bundles of the image": {"image": IMAGE},
    "bundles of an init container": {"image": IMAGE, "models": {"init": COPIED}},
}
START_SECONDS = 60

pytestmark = [
    pytest.mark.deploy,
    needs_tools,
    pytest.mark.skipif(
        not (PODMAN / "storage.conf").is_file(),
        reason="the Deployment was not run: there is no image for podman; make test-clusters",
    ),
]


def call(*args: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    names = {"CONTAINERS_STORAGE_CONF": "storage.conf", "CONTAINERS_CONF": "containers.conf"}
    own = {name: str(PODMAN / file) for name, file in names.items()}
    return subprocess.run(
        ["podman", *args],
        capture_output=True,
        text=True,
        input=text,
        timeout=180,
        env=os.environ | own,
    )


def podman(*args: str, text: str | None = None) -> str:
    """What ``podman ARGS`` prints, or the test's failure."""
    done = call(*args, text=text)
    if done.returncode:
        pytest.fail(f"podman {' '.join(args)}: {done.stderr}")
    return done.stdout.strip()


def for_podman(deployment: Any, port: int, grpc_port: int) -> Any:
    """All that is not as the chart has it, and why."""
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    spec["hostNetwork"] = True  # a bridge needs iptables, which a bare machine may not allow;
    del container["ports"]  # and podman publishes none on the host's network
    container["env"] += [
        {"name": "SUMSERVE_HOST", "value": "127.0.0.1"},
        {"name": "SUMSERVE_PORT", "value": str(port)},
        {"name": "SUMSERVE_GRPC_PORT", "value": str(grpc_port)},
    ]
    del container["livenessProbe"]  # podman would call curl in the container, which has none
    deployment["spec"]["replicas"] = 1  # two would want the same port
    return deployment


@dataclass(frozen=True, slots=True)
class Played:
    container: str
    url: str
    deployment: Any

    def status(self) -> dict[str, list[str]]:
        """/proc/1/status of the server."""
        text = podman("exec", self.container, "cat", "/proc/1/status")
        lines = (line.partition(":") for line in text.splitlines())
        return {key: value.split() for key, _, value in lines}

    def inspect(self, field: str) -> str:
        return podman("inspect", "--format", f"{{{{{field}}}}}", self.container)

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/v2/health/ready", trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        pytest.fail(f"not ready: {call('logs', self.container).stderr[-2000:]}")


def play(file: Path, deployment: Any) -> None:
    """Make the pod, and start its containers as a node would: each once those before it have ended.
    podman 4.3 would do so by itself, but removes init containers before it has seen them end.
    """
    podman("play", "kube", "--start=false", str(file))
    spec, pod = deployment["spec"]["template"]["spec"], f"{deployment['metadata']['name']}-pod-0"
    for one in spec.get("initContainers", []):
        podman("start", "--attach", f"{pod}-{one['name']}")
    for one in spec["containers"]:
        podman("start", f"{pod}-{one['name']}")


@pytest.fixture(scope="module", params=VALUES)
def played(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Played]:
    """A pod of the Deployment, ready; gone at the end."""
    name = f"sumserve-{uuid.uuid4().hex[:8]}"
    (release,) = ask(question(VALUES[request.param], name=name))
    (rendered,) = [one for one in release["objects"] if one["kind"] == "Deployment"]
    port = free_port()
    deployment = for_podman(rendered, port, free_port())
    file: Path = tmp_path_factory.mktemp("played") / "deployment.yaml"
    file.write_text(json.dumps(deployment))
    own = Played(f"{name}-pod-0-sumserve", f"http://127.0.0.1:{port}", deployment)
    try:
        play(file, deployment)
        own.wait_until_ready()
        yield own
    finally:
        call("play", "kube", "--down", str(file))
        call(
            "volume",
            "rm",
            *(one["name"] for one in rendered["spec"]["template"]["spec"]["volumes"]),
        )


def test_it_answers_for_every_bundle(played: Played) -> None:
    answer = httpx.get(f"{played.url}/v1/models", trust_env=False).json()
    served = {model["name"] for model in answer["models"]}
    assert served == {file.parent.parent.name for file in SHIPPED.glob("*/*/bundle.json")}


def test_it_predicts(played: Played) -> None:
    url, body = f"{played.url}/v1/models/digit_sum/predict", {"sequences": [[1, 2, 3], []]}
    answer = httpx.post(url, json=body, trust_env=False)
    assert answer.status_code == 200, answer.text
    assert [round(value) for (value,) in answer.json()["outputs"]] == [6, 0]


def test_it_runs_as_the_images_user_with_no_capability(played: Played) -> None:
    status = played.status()
    assert status["Uid"] == status["Gid"] == ["10001"] * 4
    assert [int(status[name][0], 16) for name in ("CapEff", "CapPrm", "CapBnd")] == [0, 0, 0]
    assert (status["NoNewPrivs"], status["Seccomp"]) == (["1"], ["2"])


def test_it_can_write_to_its_spool_only(played: Played) -> None:
    (container,) = played.deployment["spec"]["template"]["spec"]["containers"]
    places = [
        "/",
        "/opt/venv",
        "/bundles",
        *(one["mountPath"] for one in container["volumeMounts"]),
    ]
    tried = {place: call("exec", played.container, "touch", f"{place}/x") for place in places}
    assert [place for place, done in tried.items() if not done.returncode] == ["/tmp"]
    assert "Read-only file system" in tried["/"].stderr


def test_its_memory_is_bounded_as_the_chart_says(played: Played) -> None:
    (container,) = played.deployment["spec"]["template"]["spec"]["containers"]
    limit = container["resources"]["limits"]["memory"]
    assert limit.endswith("Gi")
    assert played.inspect(".HostConfig.Memory") == str(int(limit.removesuffix("Gi")) * 2**30)


def test_the_images_own_health_check_finds_it_healthy(played: Played) -> None:
    done = call("exec", played.container, "/opt/venv/bin/sumserve", "health")
    assert done.returncode == 0, done.stderr


def test_it_leaves_within_its_time_and_without_an_error(played: Played) -> None:
    """The last one: nothing runs after it."""
    spec = played.deployment["spec"]["template"]["spec"]
    podman("stop", "--time", str(spec["terminationGracePeriodSeconds"]), played.container)
    assert played.inspect(".State.ExitCode") == "0"
