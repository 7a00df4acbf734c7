"""The same application on a Ray cluster, as a deployment that grows with what is asked of it.

    serve run --address auto --working-dir . deploy.ray_serve:app models=/bundles max_replicas=4

Settings are SUMSERVE_* variables and arguments, as read where it is started. What every node needs
is in deploy/README.md. HTTP is Ray's: how heads and bodies may arrive is its affair.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from ray import serve
from ray.serve import Application
from starlette.types import ASGIApp

from service.api import create_app
from service.configuration import load_settings
from service.device import Device
from service.errors import SettingsError
from service.given import PREFIX
from service.keys import load_keys
from service.readiness import LAST_STEP_SECONDS
from service.server import load
from service.settings import Settings
from service.tracing import tracing

OF_RAY = {"workers": 1, "grpc_port": 0}  # replicas and ports are its affair
CPUS = 1  # of a replica whose threads are not set
REPLICAS = {"min_replicas": 1, "max_replicas": 8}  # arguments besides settings


@serve.ingress()
class Sumserve:
    """One replica: a whole server but for its port."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keys = load_keys(settings.keys) if settings.keys else None
        self._service = load(settings)

    def __serve_build_asgi_app__(self) -> ASGIApp:
        spans = tracing(self._settings, os.environ)
        return create_app(self._service, keys=self._keys, spans=spans)

    def check_health(self) -> None:
        """Ray puts another in the place of a replica that is not ready."""
        if reason := self._service.readiness.reason():
            raise RuntimeError(reason)


def configured(arguments: Mapping[str, object], environ: Mapping[str, str]) -> Settings:
    """Settings of a replica. SettingsError names each that is unknown, bad, or Ray's affair."""
    given = {f"{PREFIX}{name.upper()}": str(value) for name, value in arguments.items()}
    settings = load_settings({**environ, **given}, {})
    for name, value in OF_RAY.items():
        if getattr(settings, name) != value:
            raise SettingsError(f"{name} is not to be set here: replicas are Ray's")
    return settings.model_copy(update={"threads": settings.threads or CPUS})


def scale(arguments: Mapping[str, object]) -> dict[str, int]:
    """How many replicas there may be."""
    try:
        return {name: int(str(arguments.get(name, own))) for name, own in REPLICAS.items()}
    except ValueError as error:
        raise SettingsError(f"{' and '.join(REPLICAS)} are whole numbers; {error}") from error


def app(arguments: dict[str, object]) -> Application:
    """What `serve run` deploys, of settings and REPLICAS by name. Raises SettingsError before
    anything is deployed.
    """
    replicas = scale(arguments)
    own = {name: value for name, value in arguments.items() if name not in REPLICAS}
    settings = configured(own, os.environ)
    gpus = int(Device.parse(settings.device).is_gpu)
    deployment = serve.deployment(
        Sumserve,
        name="sumserve",
        # The engine makes steps of many, by tokens, and answers 429 where there are too many.
        max_ongoing_requests=settings.queue_requests,
        autoscaling_config={**replicas, "target_ongoing_requests": 32},
        ray_actor_options={"num_cpus": settings.threads, "num_gpus": gpus},
        health_check_period_s=5,
        graceful_shutdown_wait_loop_s=1,
        graceful_shutdown_timeout_s=settings.drain_seconds + LAST_STEP_SECONDS,
    )
    return deployment.bind(settings)
