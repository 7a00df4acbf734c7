"""What the routes stand on: a loaded service."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from service.body import Bodies
from service.catalog import Catalog
from service.device import Device
from service.drift import Drift
from service.engine.engine import Engine
from service.gpu_memory import GpuMemory
from service.metrics import Metrics
from service.readiness import Readiness
from service.repository.repository import Repository
from service.settings import Settings
from service.statistics import Statistics
from service.wires.validation import Limits

CODERS = 2  # threads that decode and encode: each may take many times a large body's memory


@dataclass(frozen=True, slots=True)
class Service:
    """Models, the engine that runs them, and the limits of requests.

    coders: the threads in which large bodies are decoded and encoded.
    """

    settings: Settings
    catalog: Catalog
    engine: Engine
    readiness: Readiness
    repository: Repository
    statistics: Statistics = field(default_factory=Statistics)
    coders: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(CODERS, thread_name_prefix="coder")
    )
    metrics: Metrics = field(init=False)
    drift: Drift = field(init=False)
    streamers: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(CODERS, thread_name_prefix="streamer")
    )
    bodies: Bodies = field(init=False)
    limits: Limits = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bodies", Bodies(self.settings.body_limits()))
        object.__setattr__(self, "limits", self.settings.request_limits())
        object.__setattr__(self, "metrics", Metrics(self.engine, self.catalog))
        object.__setattr__(self, "drift", Drift(self.settings.drift_tokens, self.catalog))
        self._measure()
        self.engine.observers += [self.statistics, self.metrics]

    def _measure(self) -> None:
        """What the page of metrics has besides what the engine tells."""
        own, most = self.metrics, self.settings.max_in_flight_bytes
        own.ask("in_flight_bytes", "of bodies and streams, held now", lambda: self.bodies.in_flight)
        own.ask("in_flight_limit_bytes", "of which more are answered 429", lambda: most)
        if self.settings.drift_tokens:
            own.add(self.drift)
        device = Device.parse(self.settings.device)
        if device.is_gpu:
            own.add(GpuMemory(device.number))
