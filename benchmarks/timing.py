"""Alternated timing: every contender runs once per round, so that noise meets all alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tqdm import tqdm


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of each round."""

    rounds: list[float]

    @property
    def median(self) -> float:
        """Median seconds."""
        return statistics.median(self.rounds)


def alternate(
    contenders: Mapping[str, Callable[[], object]], rounds: int, label: str
) -> dict[str, Timing]:
    """Time every contender ``rounds`` times, in turn, after one warm-up each."""
    for run in contenders.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in tqdm(range(rounds), label, unit="round"):
        for name, run in contenders.items():
            gc.collect()
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return {name: Timing(found) for name, found in seconds.items()}


def ratio(slow: Timing, fast: Timing) -> dict[str, float]:
    """How many times faster ``fast`` is: median, least and most of the rounds' own ratios."""
    ratios = [s / f for s, f in zip(slow.rounds, fast.rounds, strict=True)]
    return {
        "median": round(statistics.median(ratios), 2),
        "least": round(min(ratios), 2),
        "most": round(max(ratios), 2),
    }
