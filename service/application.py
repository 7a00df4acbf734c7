"""What the routes stand on: a loaded service."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from service.body import Bodies
from service.engine.engine import Engine
from service.errors import UnknownModel, quoted
from service.manifest import Manifest
from service.metrics import Metrics
from service.readiness import Readiness
from service.settings import Settings
from service.statistics import Statistics
from service.streams.walk import Walk
from service.wires.validation import Limits

CODERS = 2  # threads that decode and encode: each may take many times a large body's memory


class Walks(Protocol):
    """What streams need of a session."""

    def walk(self) -> Walk:
        """A sequence that comes piece by piece."""


@dataclass(frozen=True, slots=True)
class Service:
    """Models, the engine that runs them, and the limits of requests.

    sessions: those that streams can go through, by model; coders: the threads in which large bodies
    are decoded and encoded.
    """

    settings: Settings
    manifests: Mapping[str, Manifest]
    engine: Engine
    readiness: Readiness
    sessions: Mapping[str, Walks] = field(default_factory=dict)
    statistics: Statistics = field(default_factory=Statistics)
    coders: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(CODERS, thread_name_prefix="coder")
    )
    metrics: Metrics = field(init=False)
    streamers: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(CODERS, thread_name_prefix="streamer")
    )
    bodies: Bodies = field(init=False)
    limits: Limits = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bodies", Bodies(self.settings.body_limits()))
        object.__setattr__(self, "limits", self.settings.request_limits())
        object.__setattr__(self, "metrics", Metrics(self.engine))
        self.engine.observers += [self.statistics, self.metrics]

    def manifest(self, name: str, version: str | None = None) -> Manifest:
        """The served model of that name and version, or UnknownModel."""
        if name not in self.manifests:
            known = ", ".join(self.manifests)
            raise UnknownModel(f"unknown model {quoted(name)}; served here: {known}")
        found = self.manifests[name]
        if version is not None and version != found.version:
            what = f"version {quoted(version, 20)} of model {name!r}"
            raise UnknownModel(f"{what} is not served; version {found.version} is")
        return found
