"""Counters and histograms by their labels, and forgotten with their models.

They are plain numbers, since all who count live on one event loop: prometheus_client's own, which
have a lock each and look for the bucket one by one, took four times as long. What a version has
counted stays on the page for a while after it is gone, so that whoever scrapes has the last of it.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import accumulate
from typing import Any, Generic, TypeVar

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

MODEL = ("model", "version")
NONE = ("", "")  # of requests that are of no model
KEEP_SECONDS = 600.0  # several times longer than anybody waits between two scrapes


class Count:
    """It only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, more: float = 1.0) -> None:
        """Once more, or so much more."""
        self.value += more


class Spread:
    """How many values there were up to each bound, and their sum. Bounds ascend."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds, self.counts, self.sum = bounds, [0] * (len(bounds) + 1), 0.0

    def observe(self, value: float) -> None:
        """One more."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """As Prometheus has them: each has all values up to its bound."""
        names = [*map(floatToGoString, self.bounds), "+Inf"]
        return list(zip(names, accumulate(self.counts), strict=True))


C = TypeVar("C", Count, Spread)


class Family(Generic[C]):
    """One metric's children by all of their labels, those of a model by its own first."""

    def __init__(self, name: str, about: str, labels: Sequence[str], make: Callable[[], C]) -> None:
        self.name, self.about, self.labels = name, about, labels
        self.children: dict[tuple[Any, ...], C] = {}
        self._make: Callable[[], C] = make

    def __call__(self, *labels: Any) -> C:
        """The child with these labels."""
        child = self.children.get(labels)
        if child is None:
            child = self.children[labels] = self._make()
        return child

    def models(self) -> set[tuple[str, str]]:
        """Names and versions that have a child."""
        return {own[:2] for own in self.children if own}

    def forget(self, model: tuple[str, str]) -> None:
        """Those of a model and version."""
        self.children = {own: c for own, c in self.children.items() if own[:2] != model}


class Families(Collector):
    """All named ``sumserve_...``. Lives on the event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counters: list[Family[Count]] = []
        self._histograms: list[Family[Spread]] = []
        self._gone: dict[tuple[str, str], float] = {}  # models, and when that was first seen

    def counter(self, name: str, about: str, *labels: str) -> Family[Count]:
        """By model, version and these labels."""
        self._counters.append(Family(f"sumserve_{name}", about, (*MODEL, *labels), Count))
        return self._counters[-1]

    def histogram(
        self, name: str, about: str, bounds: Sequence[float], labels: Sequence[str] = MODEL
    ) -> Family[Spread]:
        """By model and version, or by nothing."""
        named = f"sumserve_{name}", about, labels
        self._histograms.append(Family(*named, lambda: Spread(bounds)))
        return self._histograms[-1]

    def see(self, known: AbstractSet[tuple[str, str]]) -> None:
        """The models and versions there are now: forget those that have been gone for long."""
        now = self._clock()
        every: list[Family[Any]] = [*self._counters, *self._histograms]
        counted = {model for family in every for model in family.models()}
        self._gone = {own: self._gone.get(own, now) for own in counted - known - {NONE}}
        for model, since in self._gone.items():
            if now - since >= KEEP_SECONDS:
                for family in every:
                    family.forget(model)

    def collect(self) -> Iterator[Metric]:
        """Prometheus asks."""
        for own in self._counters:
            counter = CounterMetricFamily(own.name, own.about, labels=own.labels)
            for labels, count in own.children.items():
                counter.add_metric([*map(str, labels)], count.value)
            yield counter
        for family in self._histograms:
            histogram = HistogramMetricFamily(family.name, family.about, labels=family.labels)
            for labels, spread in family.children.items():
                histogram.add_metric([*map(str, labels)], spread.buckets(), spread.sum)
            yield histogram
