"""Prometheus metrics: what happened, counted as it does; what is so now, asked when one scrapes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import chain

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from service.catalog import named
from service.engine.engine import Engine
from service.engine.job import Step
from service.engine.observer import Observer
from service.engine.runner import Outcome
from service.statistics import Timing

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MODEL = ("model", "version")
TOKENS = tuple(4**i for i in range(3, 11))  # 64 to 1,048,576
UP = ("sumserve_worker_up 1 while a worker answers the others", "# TYPE sumserve_worker_up gauge")
SECONDS = tuple(0.0005 * 2**i for i in range(16))  # half a millisecond to 16 seconds


class Metrics(Observer):
    """Of one engine, in a registry of their own. Lives on the event loop."""

    def __init__(self, engine: Engine) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(Now(engine))
        self._requests = self._counter("requests", "requests by model and status", *MODEL, "code")
        self._tokens = self._counter(
            "tokens", "tokens that were computed, or abandoned in the queue", *MODEL, "outcome"
        )
        self._step_tokens = self._histogram("step_tokens", "tokens in one step", TOKENS)
        self._step_seconds = self._histogram("step_seconds", "time of one step", SECONDS)
        self._queue = self._histogram("queue_seconds", "time of a request in the queue", SECONDS)
        self._compute = self._histogram("compute_seconds", "time of a request's steps", SECONDS)

    def request(self, model: str, version: str, status: int) -> None:
        """A request was answered. model, version: of one that is served, or both empty."""
        self._requests(model, version, status).inc()

    def answered(self, model: str, timing: Timing) -> None:
        """A prediction was."""
        labels = named(model)
        self._queue(*labels).observe(timing.queue)
        self._compute(*labels).observe(timing.compute)

    def ran(self, step: Step, outcome: Outcome) -> None:
        """A step was run."""
        labels = named(step.model)
        self._tokens(*labels, "computed").inc(outcome.tokens)
        self._step_tokens(*labels).observe(outcome.tokens)
        self._step_seconds(*labels).observe(outcome.seconds)

    def abandoned(self, model: str, tokens: int) -> None:
        """Tokens that waited will not be computed."""
        self._tokens(*named(model), "abandoned").inc(tokens)

    def page(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self._registry)

    def _counter(self, name: str, about: str, *labels: str) -> Callable[..., Counter]:
        return cache(Counter(f"sumserve_{name}", about, labels, registry=self._registry).labels)

    def _histogram(
        self, name: str, about: str, buckets: tuple[float, ...]
    ) -> Callable[..., Histogram]:
        """By its labels; prometheus_client takes longer to find one than to count."""
        about_it = f"sumserve_{name}", about, MODEL
        return cache(Histogram(*about_it, buckets=buckets, registry=self._registry).labels)


class Now(Collector):
    """What an engine can be asked at any time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Prometheus asks."""
        engine = self._engine
        yield _gauge("ready", "1 while requests are welcome", float(engine.readiness.ready))
        yield _gauge("open_requests", "requests that wait or run", engine.requests)
        queued = engine.queued_seconds() * 1e3
        yield _gauge("queued_milliseconds", "expected until all that waits is done", queued)
        tokens = GaugeMetricFamily("sumserve_queued_tokens", "tokens that wait", labels=MODEL)
        waiting = engine.queued()
        for model in engine.costs:
            tokens.add_metric(named(model), waiting.get(model, 0))
        yield tokens
        yield from self._costs()

    def _costs(self) -> Iterator[GaugeMetricFamily]:
        """The learned lines: of steps, and of each stage in turn."""
        labels = [*MODEL, "stage"]
        slope = GaugeMetricFamily(
            "sumserve_cost_seconds_per_token", "learned: what a token takes", labels=labels
        )
        start = GaugeMetricFamily(
            "sumserve_cost_seconds_per_step", "learned: what a step takes besides", labels=labels
        )
        for model, costs in self._engine.costs.items():
            stages = {str(number): cost for number, cost in enumerate(costs.stages)}
            for stage, cost in ({"all": costs.steps} | stages).items():
                slope.add_metric([*named(model), stage], cost.line[0])
                start.add_metric([*named(model), stage], cost.line[1])
        yield slope
        yield start


def _gauge(name: str, about: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"sumserve_{name}", about, value=value)


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
