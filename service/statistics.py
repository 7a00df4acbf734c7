"""Counts per version of a model: requests, and what their parts took. Lives on the event loop."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from service.catalog import named
from service.engine.job import Step
from service.engine.observer import Observer
from service.engine.runner import Outcome


@dataclass(slots=True)
class Total:
    """How often, and nanoseconds in all."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float) -> None:
        """Once more."""
        self.count += 1
        self.ns += round(seconds * 1e9)

    def as_dict(self) -> dict[str, int]:
        """As the Open Inference Protocol's statistics extension words it."""
        return {"count": self.count, "ns": self.ns}


@dataclass(frozen=True, slots=True)
class Timing:
    """Where a request's time went, in seconds."""

    queue: float
    decode: float
    compute: float
    encode: float

    @property
    def total(self) -> float:
        """All of it, but for receiving and sending."""
        return self.queue + self.decode + self.compute + self.encode


@dataclass(slots=True)
class ModelStatistics:
    """Of one model."""

    sequences: int = 0
    last_ms: int = 0
    success: Total = field(default_factory=Total)
    fail: Total = field(default_factory=Total)
    queue: Total = field(default_factory=Total)
    decode: Total = field(default_factory=Total)
    compute: Total = field(default_factory=Total)
    encode: Total = field(default_factory=Total)
    steps: dict[int, Total] = field(default_factory=lambda: defaultdict(Total))


class Statistics(Observer):
    """Of every model, since the server started."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._models: dict[tuple[str, str], ModelStatistics] = defaultdict(ModelStatistics)

    def succeeded(self, model: str, sequences: int, timing: Timing) -> None:
        """A request was answered."""
        own = self._models[named(model)]
        own.sequences += sequences
        own.last_ms = round(self._clock() * 1e3)
        own.success.add(timing.total)
        own.queue.add(timing.queue)
        own.decode.add(timing.decode)
        own.compute.add(timing.compute)
        own.encode.add(timing.encode)

    def failed(self, model: str, seconds: float) -> None:
        """A request was answered with an error."""
        self._models[named(model)].fail.add(seconds)

    def ran(self, step: Step, outcome: Outcome) -> None:
        """A step was run."""
        self._models[named(step.model)].steps[_bucket(step.sequences)].add(outcome.seconds)

    def of(self, name: str, version: str) -> dict[str, Any]:
        """A model's statistics as the extension words them.

        inference_count counts sequences, execution_count steps; a batch_size is how many sequences
        a step had, rounded up to a power of two.
        """
        own = self._models[name, version]
        none = Total().as_dict()
        return {
            "name": name,
            "version": version,
            "last_inference": own.last_ms,
            "inference_count": own.sequences,
            "execution_count": sum(step.count for step in own.steps.values()),
            "inference_stats": {
                "success": own.success.as_dict(),
                "fail": own.fail.as_dict(),
                "queue": own.queue.as_dict(),
                "compute_input": own.decode.as_dict(),
                "compute_infer": own.compute.as_dict(),
                "compute_output": own.encode.as_dict(),
                "cache_hit": none,
                "cache_miss": none,
            },
            "response_stats": {},
            "batch_stats": [
                {
                    "batch_size": size,
                    "compute_input": none,
                    "compute_infer": own.steps[size].as_dict(),
                    "compute_output": none,
                }
                for size in sorted(own.steps)
            ],
            "memory_usage": [],
        }


def _bucket(sequences: int) -> int:
    return 1 << max(0, sequences - 1).bit_length()


def summed(several: Sequence[Any], key: str = "") -> Any:
    """What `Statistics.of` says of a model in several workers, as if they were one.

    Counts and times are added up, those of batches by their size; the last inference is the last.
    """
    first = several[0]
    if key == "last_inference":
        return max(several)
    if key == "batch_stats":
        return _batches(several)
    if isinstance(first, dict):
        return {name: summed([one[name] for one in several], name) for name in first}
    return sum(several) if isinstance(first, int) and key != "batch_size" else first


def _batches(several: Iterable[Any]) -> list[Any]:
    sizes = defaultdict(list)
    for one in chain(*several):
        sizes[one["batch_size"]].append(one)
    return [summed(sizes[size]) for size in sorted(sizes)]
