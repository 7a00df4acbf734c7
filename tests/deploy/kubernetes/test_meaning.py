"""What the chart means agrees with the server and with the image: settings, ports, paths, times."""

from __future__ import annotations

import re
from typing import Any

import pytest

from service.configuration import load_settings
from service.gate import CLIENTS, OPEN
from service.given import PREFIX
from service.readiness import LAST_STEP_SECONDS
from service.settings import Settings
from tests.conftest import ROOT
from tests.deploy.kubernetes.rendered import (
    CASES,
    environment,
    needs_tools,
    objects,
    only,
    pod,
    server,
)

pytestmark = [pytest.mark.deploy, needs_tools, pytest.mark.parametrize("case", CASES)]
IMAGE = (ROOT / "deploy" / "Containerfile").read_text()


def settings(case: str) -> Settings:
    """As the server in the container reads them: the chart's variables over the image's."""
    image = dict(re.findall(rf"\b({PREFIX}[A-Z_]+)=(\S+)", IMAGE))
    return load_settings(image | environment(case), {})


def mounts(case: str) -> dict[str, Any]:
    """The server's, by where they are."""
    return {one["mountPath"]: one for one in server(case)["volumeMounts"]}


def test_every_variable_is_a_setting_with_a_value_that_the_server_takes(case: str) -> None:
    names = {name.removeprefix(PREFIX).lower() for name in environment(case)}
    assert names <= set(Settings.model_fields)
    assert settings(case).host == "0.0.0.0"


def test_a_pod_has_the_time_that_the_server_may_take_to_leave(case: str) -> None:
    own, spec = settings(case), pod(case)
    sleep = server(case)["lifecycle"]["preStop"]["sleep"]["seconds"]
    takes = sleep + own.grace_seconds + own.drain_seconds + LAST_STEP_SECONDS
    assert spec["terminationGracePeriodSeconds"] > takes


def test_what_was_accepted_before_the_end_has_its_whole_time(case: str) -> None:
    own = settings(case)
    assert own.grace_seconds + own.drain_seconds >= own.timeout_seconds
    assert own.step_seconds <= LAST_STEP_SECONDS


def test_endpoints_are_gone_before_the_server_stops_listening(case: str) -> None:
    probe, own = server(case)["readinessProbe"], settings(case)
    notices = probe["periodSeconds"] * probe["failureThreshold"]
    sleep = server(case)["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert sleep > 0
    assert sleep + own.grace_seconds > notices


def test_ports_are_those_that_the_server_listens_on(case: str) -> None:
    ports = {one["name"]: one["containerPort"] for one in server(case)["ports"]}
    assert ports == {"http": settings(case).port, "grpc": settings(case).grpc_port}
    assert f"EXPOSE {ports['http']}" in IMAGE


def test_whoever_is_sent_to_a_port_is_sent_to_one_that_is_there(case: str) -> None:
    service = only(case, "Service")
    named = {one["name"]: one["targetPort"] for one in service["spec"]["ports"]}
    assert named == {"http": "http", "grpc": "grpc"}
    behind = [
        path["backend"]["service"]
        for ingress in objects(case, "Ingress")
        for rule in ingress["spec"]["rules"]
        for path in rule["http"]["paths"]
    ]
    expected = {"name": service["metadata"]["name"], "port": {"name": "http"}}
    assert all(one == expected for one in behind)
    monitored = [
        one["port"] for m in objects(case, "ServiceMonitor") for one in m["spec"]["endpoints"]
    ]
    assert set(monitored) <= {"http"}


def test_probes_ask_for_what_is_open_to_all(case: str) -> None:
    own = server(case)
    probes = [own[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    paths = [one["path"] for one in probes]
    assert paths == ["/v2/health/ready", "/v2/health/ready", "/v2/health/live"]
    assert all(OPEN.fullmatch(path) for path in paths)
    assert {one["port"] for one in probes} == {"http"}


def test_selectors_find_the_pods_and_nothing_else_does(case: str) -> None:
    deployment = only(case, "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        only(case, "Service")["spec"]["selector"],
    ]
    selectors += [
        one["spec"]["selector"]["matchLabels"] for one in objects(case, "PodDisruptionBudget")
    ]
    selectors += [
        one["spec"]["podSelector"]["matchLabels"] for one in objects(case, "NetworkPolicy")
    ]
    assert all(own.items() <= labels for own in selectors)
    stays = {"app.kubernetes.io/name", "app.kubernetes.io/instance"}  # versions come and go
    assert all(set(own) == stays for own in selectors)
    for monitor in objects(case, "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        assert wanted <= only(case, "Service")["metadata"]["labels"].items()


def test_it_runs_as_the_images_user_without_rights(case: str) -> None:
    spec, own = pod(case), server(case)["securityContext"]
    context = spec["securityContext"]
    assert f"USER {context['runAsUser']}:{context['runAsGroup']}" in IMAGE
    assert context["runAsNonRoot"]
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not spec["automountServiceAccountToken"]


def test_variables_of_other_services_are_no_settings(case: str) -> None:
    assert pod(case)["enableServiceLinks"] is False


def test_every_mount_has_a_volume_and_every_volume_a_mount(case: str) -> None:
    spec = pod(case)
    containers = [*spec["containers"], *spec.get("initContainers", [])]
    mounted = {mount["name"] for one in containers for mount in one["volumeMounts"]}
    assert mounted == {volume["name"] for volume in spec["volumes"]}


def test_files_that_settings_name_are_mounted_where_they_are_read(case: str) -> None:
    own, there = settings(case), mounts(case)
    image = str(own.models) == "/bundles"
    assert image or there[str(own.models)]["readOnly"]
    assert own.keys is None or there[str(own.keys.parent)]["readOnly"]
    assert "/tmp" in there


def test_streams_are_refused_before_their_volume_is_full(case: str) -> None:
    (volume,) = [one for one in pod(case)["volumes"] if one["name"] == "spool"]
    size = int(volume["emptyDir"]["sizeLimit"].removesuffix("Mi")) * 2**20
    own = settings(case)
    assert 0.7 * size <= own.workers * own.max_spool_bytes <= 0.8 * size
    assert server(case)["resources"]["requests"]["ephemeral-storage"] == "1Gi"


def test_as_many_threads_run_as_cpus_are_requested(case: str) -> None:
    own = settings(case)
    assert own.workers * own.threads == int(server(case)["resources"]["requests"]["cpu"])


def test_no_rollout_takes_more_pods_than_it_may(case: str) -> None:
    rolling = only(case, "Deployment")["spec"]["strategy"]["rollingUpdate"]
    assert rolling["maxSurge"] + rolling["maxUnavailable"] == 1
    assert (case == "gpu") == (rolling["maxUnavailable"] == 1)


def test_an_autoscaler_has_the_number_of_replicas_to_itself(case: str) -> None:
    scaled = [*objects(case, "HorizontalPodAutoscaler"), *objects(case, "ScaledObject")]
    assert ("replicas" in only(case, "Deployment")["spec"]) == (not scaled)
    names = {one["spec"]["scaleTargetRef"]["name"] for one in scaled}
    assert names <= {only(case, "Deployment")["metadata"]["name"]}


def test_the_ingress_and_prometheus_get_through_the_network_policy(case: str) -> None:
    let = [
        next(iter(peer.get("namespaceSelector", {}).get("matchLabels", {}).values()), "own")
        for policy in objects(case, "NetworkPolicy")
        for rule in policy["spec"]["ingress"]
        for peer in rule["from"]
    ]
    expected = ["own"] if objects(case, "NetworkPolicy") else []
    expected += ["ingress-nginx"] if objects(case, "Ingress") else []
    expected += ["monitoring"] if objects(case, "ServiceMonitor") else []
    assert let == expected


def test_nothing_gets_out_unless_it_is_named(case: str) -> None:
    for policy in objects(case, "NetworkPolicy"):
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        assert policy["spec"]["egress"] == (
            [] if case != "all" else [{"ports": [{"port": 53, "protocol": "UDP"}]}]
        )
    assert (case == "off") == (not objects(case, "NetworkPolicy"))


def test_streams_go_past_buffers_and_retries(case: str) -> None:
    for ingress in objects(case, "Ingress"):
        (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
        notes = ingress["metadata"]["annotations"]
        streams = ingress["metadata"]["name"].endswith("-streams")
        assert streams == bool(re.fullmatch(path["path"], "/v1/models/digits/stream"))
        assert streams == (notes["nginx.ingress.kubernetes.io/proxy-next-upstream"] == "off")
    assert len(objects(case, "Ingress")) == (2 if case == "all" else 0)


def test_metrics_are_asked_for_where_they_are_with_a_key_where_there_are_keys(case: str) -> None:
    for monitor in objects(case, "ServiceMonitor"):
        (endpoint,) = monitor["spec"]["endpoints"]
        assert CLIENTS.fullmatch(endpoint["path"])
        assert ("authorization" in endpoint) == (settings(case).keys is not None)
        assert monitor["spec"]["jobLabel"] == "app.kubernetes.io/name"
    assert only(case, "Service")["metadata"]["labels"]["app.kubernetes.io/name"] == "sumserve"
