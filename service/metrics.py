"""Prometheus metrics: what happened, counted as it does; what is so now, asked when one scrapes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from itertools import chain

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, generate_latest
from prometheus_client.registry import Collector

from service.catalog import Catalog, named
from service.engine.engine import Engine
from service.engine.job import Step
from service.engine.observer import Observer
from service.engine.runner import Outcome
from service.families import Families
from service.gauges import Now
from service.placed import Placed
from service.statistics import Timing
from service.vitals import Vitals

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TOKENS = tuple(4**i for i in range(3, 11))  # 64 to 1,048,576
UP = ("sumserve_worker_up 1 while a worker answers the others", "# TYPE sumserve_worker_up gauge")
SECONDS = tuple(0.0005 * 2**i for i in range(16))  # half a millisecond to 16 seconds


class Metrics(Observer):
    """Of one engine and what is served, in a registry of their own. Lives on the event loop."""

    def __init__(self, engine: Engine, catalog: Catalog) -> None:
        self._engine = engine
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._families = own = Families()
        for collector in Vitals(), own, Now(engine), Placed(catalog, engine.readiness.failing):
            registry.register(collector)
        self._requests = own.counter("requests", "requests by model and status", "code")
        self._rejected = own.counter(
            "rejected", "requests answered 429, by what was full", "reason"
        )
        about = "tokens that were computed, or abandoned in the queue"
        self._tokens = own.counter("tokens", about, "outcome")
        self._step_tokens = own.histogram("step_tokens", "tokens in one step", TOKENS)
        self._step_seconds = own.histogram("step_seconds", "time of one step", SECONDS)
        self._queue = own.histogram("queue_seconds", "time of a request in the queue", SECONDS)
        self._compute = own.histogram("compute_seconds", "time of a request's steps", SECONDS)
        self._decode = own.histogram("decode_seconds", "time of reading a body", SECONDS)
        self._encode = own.histogram("encode_seconds", "time of writing an answer", SECONDS)
        about = "time from a prediction's whole body to its answer, before that is sent"
        self._request = own.histogram("request_seconds", about, SECONDS)
        about = "how late the event loop is, looked at a few times a second"
        self._lag = own.histogram("loop_lag_seconds", about, SECONDS, ())()
        self._gauges: dict[str, Gauge] = {}

    def request(self, model: str, version: str, status: int, reason: str = "") -> None:
        """A request was answered. model, version: of one that is served, or both empty; reason:
        where the status has several.
        """
        self._requests(model, version, status).inc()
        if reason:
            self._rejected(model, version, reason).inc()

    def refused(self, status: int) -> None:
        """What never became a request was."""
        self.request("", "", status)

    def took(self, model: str, seconds: float) -> None:
        """A prediction or an explanation, from its whole body to its answer."""
        self._request(*named(model)).observe(seconds)

    def answered(self, model: str, timing: Timing) -> None:
        """A prediction or an explanation was, or a stream."""
        labels = named(model)
        self._queue(*labels).observe(timing.queue)
        self._compute(*labels).observe(timing.compute)
        self._decode(*labels).observe(timing.decode)
        self._encode(*labels).observe(timing.encode)

    def ran(self, step: Step, outcome: Outcome) -> None:
        """A step was run."""
        labels = named(step.model)
        self._tokens(*labels, "computed").inc(outcome.tokens)
        self._step_tokens(*labels).observe(outcome.tokens)
        self._step_seconds(*labels).observe(outcome.seconds)

    def abandoned(self, model: str, tokens: int) -> None:
        """Tokens that waited will not be computed."""
        self._tokens(*named(model), "abandoned").inc(tokens)

    def late(self, seconds: float) -> None:
        """The event loop came to something so much later than it should."""
        self._lag.observe(seconds)

    def add(self, collector: Collector) -> None:
        """From now on what it says is on the page, too."""
        self._registry.register(collector)

    def ask(self, name: str, about: str, value: Callable[[], float]) -> None:
        """From now on a gauge is, and its value is asked for with every page. The last one who says
        so is asked.
        """
        if name not in self._gauges:
            self._gauges[name] = Gauge(f"sumserve_{name}", about, registry=self._registry)
        self._gauges[name].set_function(value)

    def page(self) -> bytes:
        """All of them in Prometheus' text format."""
        self._families.see({named(model) for model in self._engine.costs})
        return generate_latest(self._registry)


def one_page(pages: Mapping[int, str | None]) -> str:
    """Those of several workers, by number: each family once, each sample with its worker's label.

    None: one that does not answer.
    """
    families: dict[tuple[str, str], list[str]] = defaultdict(list)  # help and type -> samples
    for worker, page in pages.items():
        families[UP].append(f'sumserve_worker_up{{worker="{worker}"}} {int(page is not None)}')
        for family in f"\n{page or ''}".split("\n# HELP ")[1:]:
            about, kind, *samples = family.rstrip("\n").split("\n")
            families[about, kind] += [_labelled(sample, worker) for sample in samples]
    lines = chain.from_iterable((f"# HELP {h}", t, *own) for (h, t), own in families.items())
    return "\n".join([*lines, ""])


def _labelled(sample: str, worker: int) -> str:
    """``name value`` or ``name{labels} value``, with one label more."""
    name, brace, labels = sample.partition("{")
    if brace:
        return f'{name}{{worker="{worker}",{labels}'
    return sample.replace(" ", f'{{worker="{worker}"}} ', 1)
