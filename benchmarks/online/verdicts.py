"""Ratios of contenders that were measured in turn, and whether they are what was wanted."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

Rounds = Sequence[float]  # one figure a round


@dataclass(frozen=True, slots=True)
class Verdict:
    """Ours over another's: median, least and most of the rounds' own ratios, and the bound."""

    row: str
    against: str
    ratio: float
    least: float
    most: float
    wanted: float
    at_least: bool = True  # or at most

    @property
    def met(self) -> bool:
        """Whether the median keeps the bound."""
        return self.ratio >= self.wanted if self.at_least else self.ratio <= self.wanted

    def as_dict(self) -> dict[str, Any]:
        """For the result file."""
        return asdict(self) | {"met": self.met}


def verdict(
    row: str, against: str, ours: Rounds, theirs: Rounds, wanted: float, *, at_least: bool = True
) -> Verdict:
    """Round by round, so that what disturbs a round disturbs both."""
    ratios = [own / other for own, other in zip(ours, theirs, strict=True)]
    found = (statistics.median(ratios), min(ratios), max(ratios))
    middle, least, most = (round(ratio, 3) for ratio in found)
    return Verdict(row, against, middle, least, most, wanted, at_least)


def fastest(rates: Mapping[str, Rounds], names: Sequence[str]) -> str:
    """Who has the highest median."""
    return max(names, key=lambda name: statistics.median(rates[name]))


def quickest(latencies: Mapping[str, Rounds], names: Sequence[str]) -> str:
    """Who has the lowest median."""
    return min(names, key=lambda name: statistics.median(latencies[name]))


def geometric_mean(values: Sequence[float]) -> float:
    """0 where one is 0."""
    return math.exp(statistics.fmean(map(math.log, values))) if all(values) else 0.0


def means(rates: Mapping[str, Mapping[str, Rounds]]) -> dict[str, list[float]]:
    """By mix and contender -> each contender's geometric mean over the mixes, round by round."""
    names = next(iter(rates.values()))
    return {
        name: [
            geometric_mean(of_round)
            for of_round in zip(*(mix[name] for mix in rates.values()), strict=True)
        ]
        for name in names
    }
