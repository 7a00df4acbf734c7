"""What the custom resources that are shipped may hold, by the Go types of those who define them.

Of prometheus-operator, KEDA and KServe only the fields that are used here; more is refused. That a
cluster takes them is not proven by it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Duration = Annotated[str, Field(pattern=r"^(0|([0-9]+(ms|[smhdwy]))+)$")]
Count = Annotated[int, Field(strict=True, ge=0)]
Protocol = Literal["v1", "v2", "grpc-v1", "grpc-v2"]


class Own(BaseModel):
    """Strings are strings and numbers numbers, and nothing else is there."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Metadata(Own):
    name: str = Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Selector(Own):
    matchLabels: dict[str, str] = Field(min_length=1)  # noqa: N815


class SecretKey(Own):
    name: str
    key: str


class Authorization(Own):
    type: Literal["Bearer"]
    credentials: SecretKey


class Endpoint(Own):
    port: str
    path: str
    interval: Duration
    scrapeTimeout: Duration  # noqa: N815
    authorization: Authorization | None = None


class Monitored(Own):
    jobLabel: str  # noqa: N815
    selector: Selector
    endpoints: list[Endpoint] = Field(min_length=1)


class ServiceMonitor(Own):
    apiVersion: Literal["monitoring.coreos.com/v1"]  # noqa: N815
    kind: Literal["ServiceMonitor"]
    metadata: Metadata
    spec: Monitored


class Prometheus(Own):
    """Metadata of the trigger: KEDA has a map of strings to strings, and reads these of it."""

    serverAddress: str = Field(pattern="^https?://")  # noqa: N815
    query: str
    threshold: str = Field(pattern=r"^[0-9]+(\.[0-9]+)?$")
    ignoreNullValues: Literal["true", "false"]  # noqa: N815


class Trigger(Own):
    type: Literal["prometheus"]
    name: str
    metadata: Prometheus


class AutoscalerConfig(Own):
    behavior: dict[str, Any]  # HorizontalPodAutoscalerBehavior, Kubernetes' own type


class Advanced(Own):
    horizontalPodAutoscalerConfig: AutoscalerConfig  # noqa: N815


class Target(Own):
    name: str


class Scaled(Own):
    scaleTargetRef: Target  # noqa: N815
    pollingInterval: Count  # noqa: N815
    minReplicaCount: Count  # noqa: N815
    maxReplicaCount: Count  # noqa: N815
    advanced: Advanced
    triggers: list[Trigger] = Field(min_length=1)

    @model_validator(mode="after")
    def _as_kedas_webhook(self) -> Scaled:
        assert self.minReplicaCount <= self.maxReplicaCount
        assert len({one.name for one in self.triggers}) == len(self.triggers)
        return self


class ScaledObject(Own):
    apiVersion: Literal["keda.sh/v1alpha1"]  # noqa: N815
    kind: Literal["ScaledObject"]
    metadata: Metadata
    spec: Scaled


class Format(Own):
    name: str
    version: str | None = Field(None, pattern=r"^[0-9]+(\.[0-9]+){0,2}$")
    autoSelect: bool = False  # noqa: N815


class Runtime(Own):
    supportedModelFormats: list[Format] = Field(min_length=1)  # noqa: N815
    protocolVersions: list[Protocol]  # noqa: N815
    annotations: dict[str, str] = {}
    containers: list[dict[str, Any]] = Field(min_length=1)  # Kubernetes' own type
    volumes: list[dict[str, Any]] = []


class ServingRuntime(Own):
    apiVersion: Literal["serving.kserve.io/v1alpha1"]  # noqa: N815
    kind: Literal["ServingRuntime"]
    metadata: Metadata
    spec: Runtime


class ModelFormat(Own):
    name: str
    version: str | None = None


class Model(Own):
    modelFormat: ModelFormat  # noqa: N815
    protocolVersion: Protocol  # noqa: N815
    runtime: str
    storageUri: str = Field(pattern=r"^(pvc|s3|gs|https?|oci|hf)://")  # noqa: N815


class Predictor(Own):
    """With fields of a pod's spec, which are Kubernetes' own."""

    minReplicas: Count  # noqa: N815
    timeout: Count
    terminationGracePeriodSeconds: Count  # noqa: N815
    enableServiceLinks: bool  # noqa: N815
    automountServiceAccountToken: bool  # noqa: N815
    model: Model


class Service(Own):
    predictor: Predictor


class InferenceService(Own):
    apiVersion: Literal["serving.kserve.io/v1beta1"]  # noqa: N815
    kind: Literal["InferenceService"]
    metadata: Metadata
    spec: Service
