"""Objects of other people's kinds are what those define, and fit the server and each other."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest
from pydantic import ValidationError

from service.configuration import load_settings
from service.gate import CLIENTS, OPEN
from service.given import PREFIX
from service.readiness import LAST_STEP_SECONDS
from service.settings import Settings
from tests.deploy.kubernetes import custom
from tests.deploy.kubernetes.rendered import CASES, KSERVE, ask, needs_tools, objects, only

pytestmark = [pytest.mark.deploy, needs_tools]


@cache
def kserve() -> tuple[Any, Any]:
    """The runtime and the service."""
    files = [str(KSERVE / name) for name in ("runtime.yaml", "service.yaml")]
    (runtime,), (service,) = ask(*({"do": "read", "file": file} for file in files))
    return runtime, service


def container() -> Any:
    return kserve()[0]["spec"]["containers"][0]


def settings() -> Settings:
    """What the runtime's variables say."""
    variables = {one["name"]: one["value"] for one in container()["env"]}
    assert all(name.startswith(PREFIX) for name in variables)
    return load_settings(variables, {})


@pytest.mark.parametrize("case", CASES)
def test_a_service_monitor_is_one(case: str) -> None:
    found = [custom.ServiceMonitor.model_validate(one) for one in objects(case, "ServiceMonitor")]
    assert len(found) == (case in ("all", "hpa"))


def test_a_scaled_object_is_one() -> None:
    found = custom.ScaledObject.model_validate(only("all", "ScaledObject"))
    assert found.spec.minReplicaCount == 2


def test_a_scaled_object_with_a_number_for_a_text_is_none() -> None:
    wrong = copy.deepcopy(only("all", "ScaledObject"))
    wrong["spec"]["triggers"][0]["metadata"]["threshold"] = 100
    with pytest.raises(ValidationError, match="threshold"):
        custom.ScaledObject.model_validate(wrong)


def test_scaling_down_of_both_kinds_waits_as_kubernetes_understands_it() -> None:
    own = only("all", "ScaledObject")["spec"]["advanced"]["horizontalPodAutoscalerConfig"]
    assert own["behavior"] == only("hpa", "HorizontalPodAutoscaler")["spec"]["behavior"]


def test_the_serving_runtime_is_one() -> None:
    found = custom.ServingRuntime.model_validate(kserve()[0])
    assert found.spec.containers[0]["name"] == "kserve-container"


def test_the_inference_service_is_one() -> None:
    found = custom.InferenceService.model_validate(kserve()[1])
    assert found.spec.predictor.model.runtime == kserve()[0]["metadata"]["name"]


def test_kubernetes_takes_the_runtimes_container_with_what_the_service_adds() -> None:
    runtime, service = (one["spec"] for one in kserve())
    added = {
        k: v
        for k, v in service["predictor"].items()
        if k not in ("minReplicas", "timeout", "model")
    }
    spec = {"containers": runtime["containers"], "volumes": runtime["volumes"], **added}
    whole = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec}
    (complaints,) = ask({"do": "validate", "objects": [whole]})
    assert complaints == []


def test_the_service_asks_for_a_format_and_a_protocol_that_the_runtime_has() -> None:
    runtime, service = (one["spec"] for one in kserve())
    model = service["predictor"]["model"]
    formats = [{k: own[k] for k in ("name", "version")} for own in runtime["supportedModelFormats"]]
    assert model["modelFormat"] in formats
    assert model["protocolVersion"] in runtime["protocolVersions"]


def test_a_runtime_that_promises_grpc_serves_it() -> None:
    promised = "grpc-v2" in kserve()[0]["spec"]["protocolVersions"]
    assert promised == bool(settings().grpc_port)


def test_kserve_is_sent_to_ports_and_paths_that_are_there() -> None:
    spec, own = kserve()[0]["spec"], container()
    assert [one["containerPort"] for one in own["ports"]] == [settings().port]
    probes = [own[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert all(OPEN.fullmatch(one["path"]) and one["port"] == settings().port for one in probes)
    assert CLIENTS.fullmatch(spec["annotations"]["prometheus.kserve.io/path"])
    assert spec["annotations"]["prometheus.kserve.io/port"] == str(settings().port)


def test_kserve_waits_as_long_as_the_server_may_take_to_leave() -> None:
    own, predictor = settings(), kserve()[1]["spec"]["predictor"]
    sleep = container()["lifecycle"]["preStop"]["sleep"]["seconds"]
    takes = sleep + own.grace_seconds + own.drain_seconds + LAST_STEP_SECONDS
    assert predictor["terminationGracePeriodSeconds"] > takes
    assert predictor["timeout"] > own.timeout_seconds


def test_the_container_is_hardened_as_the_charts_is() -> None:
    own = dict(container()["securityContext"])
    charts = only("default", "Deployment")["spec"]["template"]["spec"]
    assert charts["containers"][0]["securityContext"].items() <= own.items()
    assert own["runAsUser"] == charts["securityContext"]["runAsUser"]
    assert own["seccompProfile"] == charts["securityContext"]["seccompProfile"]
