"""The chart is one to Helm, and what it renders is what Kubernetes takes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from service.settings import Settings
from tests.deploy.kubernetes.rendered import (
    CASES,
    CHART,
    INIT,
    ask,
    environment,
    needs_tools,
    only,
    question,
    refused,
    releases,
)

OF_CHART = {"models", "host", "port", "grpc_port", "keys", "max_spool_bytes", "spool_folder"}


def test_the_values_schema_takes_every_setting_that_is_not_the_charts_own() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    names = schema["properties"]["settings"]["propertyNames"]["enum"]
    assert set(names) == set(Settings.model_fields) - OF_CHART


@needs_tools
@pytest.mark.deploy
def test_helm_finds_nothing_but_that_there_is_no_icon() -> None:
    (report,) = ask({"do": "lint", "chart": str(CHART)})
    assert [one["error"] for one in report["messages"]] == ["icon is recommended"]
    assert report["errors"] == []


@needs_tools
@pytest.mark.deploy
@pytest.mark.parametrize("case", CASES)
def test_kubernetes_takes_every_object_strictly(case: str) -> None:
    (complaints,) = ask({"do": "validate", "objects": releases()[case]["objects"]})
    assert complaints == []


@needs_tools
@pytest.mark.deploy
def test_the_validation_would_find_a_word_misspelt() -> None:
    wrong = json.loads(json.dumps(only("default", "Deployment")))
    wrong["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    (complaints,) = ask({"do": "validate", "objects": [wrong]})
    assert len(complaints) == 2
    assert "readynessProbe" in complaints[0]


@needs_tools
@pytest.mark.deploy
@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"replicaz": 3}, "replicaz"),
        ({"replicas": 0}, "/replicas"),
        ({"replicas": "3"}, "/replicas"),
        ({"image": {"digest": "latest"}}, "/image/digest"),
        ({"settings": {"drain_second": 5}}, "drain_second"),
        ({"settings": {"port": 80}}, "port"),
        ({"settings": {"drain_seconds": None}}, "drain_seconds"),
        ({"settings": {"threads": [2]}}, "/settings/threads"),
        ({"resources": {"limits": {"memory": "2GB"}}}, "/resources/limits/memory"),
        ({"service": {"grpcPort": 70_000}}, "/service/grpcPort"),
        ({"autoscaling": {"kind": "vpa"}}, "/autoscaling/kind"),
        ({"spoolMebibytes": 0}, "/spoolMebibytes"),
        ({"autoscaling": {"minReplicas": 11}}, "autoscaling.minReplicas"),
        ({"models": {"existingClaim": "a", "init": INIT}}, "models.existingClaim"),
        ({"settings": {"timeout_seconds": 66}}, "settings.timeout_seconds"),
        ({"settings": {"workers": 0}}, "/settings/workers"),
        ({"resources": {"requests": {"cpu": -1}}}, "/resources/requests/cpu"),
        ({"runtimeClassName": "Nvidia"}, "/runtimeClassName"),
        ({"autoscaling": {"kind": "keda"}}, "serviceMonitor.enabled"),
        ({"keysSecret": "a", "serviceMonitor": {"enabled": True}}, "serviceMonitor.keySecret"),
        ({"settings": {"otel_endpoint": "http://a:4318"}}, "networkPolicy.egress"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_values_are_refused_by_name(values: dict[str, Any], named: str) -> None:
    assert named in refused(values)


@needs_tools
@pytest.mark.deploy
def test_large_numbers_arrive_as_the_server_reads_them() -> None:
    assert environment("all")["SUMSERVE_MAX_REQUEST_TOKENS"] == "5000000"


@needs_tools
@pytest.mark.deploy
def test_traces_need_no_egress_where_there_is_no_network_policy() -> None:
    endpoint = {"otel_endpoint": "http://collector:4318"}
    (release,) = ask(question({"settings": endpoint, "networkPolicy": {"enabled": False}}))
    assert "error" not in release, release


@needs_tools
@pytest.mark.deploy
def test_a_quantity_may_be_a_number_and_arrives_as_a_text_that_is_one() -> None:
    numbers = {"requests": {"cpu": 0.5}, "limits": {"memory": 4_294_967_296}}
    (release,) = ask(question({"resources": numbers}))
    (deployment,) = [one for one in release["objects"] if one["kind"] == "Deployment"]
    own = deployment["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert own == {
        "requests": {"cpu": "0.5", "memory": "1Gi", "ephemeral-storage": "1Gi"},
        "limits": {"memory": "4294967296"},
    }


@needs_tools
@pytest.mark.deploy
def test_a_runtime_class_is_asked_for_where_one_is_named() -> None:
    own, other = (only(case, "Deployment") for case in ("gpu", "default"))
    assert own["spec"]["template"]["spec"]["runtimeClassName"] == "nvidia"
    assert "runtimeClassName" not in other["spec"]["template"]["spec"]


@needs_tools
@pytest.mark.deploy
def test_names_of_a_release_called_as_the_chart_are_not_doubled() -> None:
    own, other = ask(question({}, name="sumserve"), question({}, name="mine"))
    assert {one["metadata"]["name"] for one in own["objects"]} == {"sumserve"}
    assert {one["metadata"]["name"] for one in other["objects"]} == {"mine-sumserve"}
