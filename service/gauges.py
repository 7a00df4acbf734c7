"""What an engine can be asked at any time, for a page of metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from service.catalog import named
from service.engine.engine import Engine
from service.families import MODEL


class Now(Collector):
    """Of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Prometheus asks."""
        engine = self._engine
        yield gauge("ready", "1 while requests are welcome", float(engine.readiness.ready))
        yield gauge("draining", "1 once the server is on its way out", engine.readiness.draining)
        yield gauge("open_requests", "requests that wait or run", engine.requests)
        expected = engine.queued_seconds()
        yield gauge("expected_wait_seconds", "expected until all that waits is done", expected)
        queued = engine.queued()
        tokens = GaugeMetricFamily("sumserve_queued_tokens", "tokens that wait", labels=MODEL)
        waiting: Counter[tuple[str, str]] = Counter()  # a version and what replaces it are one
        for model in engine.costs:
            waiting[named(model)] += queued.get(model, 0)
        for labels, count in waiting.items():
            tokens.add_metric(labels, count)
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
        latest = {named(model): costs for model, costs in self._engine.costs.items()}
        for model, costs in latest.items():
            stages = {str(number): cost for number, cost in enumerate(costs.stages)}
            for stage, cost in ({"all": costs.steps} | stages).items():
                slope.add_metric([*model, stage], cost.line[0])
                start.add_metric([*model, stage], cost.line[1])
        yield slope
        yield start


def gauge(name: str, about: str, value: float) -> GaugeMetricFamily:
    """One that has no labels."""
    return GaugeMetricFamily(f"sumserve_{name}", about, value=value)
