"""The same application on a Ray cluster, as a deployment that grows with what waits.

    pip install '.[cpu]' 'ray[serve]'
    SUMSERVE_MODELS=deploy/bundles serve run deploy.ray_serve:app

Every replica is a whole server but for its HTTP, which is Ray's: what is said in docs/operating.md of
ports, workers and shutdown, and the limits on heads and on how a body arrives, are Ray's own here.
"""

from __future__ import annotations

import os

from ray import serve
from starlette.types import ASGIApp

from service.api import create_app
from service.configuration import load_settings
from service.keys import load_keys
from service.server import load

CPUS = 1  # of each replica: so many threads compute


def build() -> ASGIApp:
    """One replica's application, of SUMSERVE_* variables as everywhere."""
    settings = load_settings(os.environ, {"threads": CPUS, "workers": 1})
    keys = load_keys(settings.keys) if settings.keys else None
    return create_app(load(settings), keys=keys)


@serve.deployment(
    # The engine batches by itself, in tokens: it is to have as many requests as it can share out.
    max_ongoing_requests=256,
    autoscaling_config={"min_replicas": 1, "max_replicas": 8, "target_ongoing_requests": 32},
    ray_actor_options={"num_cpus": CPUS},
    health_check_period_s=5,
    graceful_shutdown_wait_loop_s=2,
    graceful_shutdown_timeout_s=60,
)
@serve.ingress(build)
class Sumserve:
    """What Ray deploys."""


app = Sumserve.bind()
