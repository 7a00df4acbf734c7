"""How long a step takes, learned from those that were run: seconds = a * tokens + b."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from service.manifest import Manifest

Spent = list[tuple[int, float]]  # per stage: tokens and seconds

FORGET = 0.98  # what an observation still counts after the next
WILD = 4.0  # times the expected: what lies further off is taken for so much
PRIOR = ((0, 2e-4), (4096, 8e-3))  # tokens and seconds believed in until more is known


@dataclass(slots=True)
class Cost:
    """A line through the steps of one model, by least squares that forget.

    Sums are of weights, tokens, tokens squared, seconds, and tokens times seconds.
    """

    weight: float = 0.0
    x: float = 0.0
    xx: float = 0.0
    y: float = 0.0
    xy: float = 0.0
    line: tuple[float, float] = field(init=False)  # a, seconds per token; b, seconds per step

    def __post_init__(self) -> None:
        for tokens, seconds in PRIOR:
            self._add(tokens, seconds)

    def observe(self, tokens: float, seconds: float) -> None:
        """A step was run. One that another process held up counts as less than it took."""
        expected = max(self.seconds(tokens), 1e-6)
        self._add(tokens, min(max(seconds, expected / WILD), expected * WILD))

    def _add(self, tokens: float, seconds: float) -> None:
        self.weight = FORGET * self.weight + 1
        self.x = FORGET * self.x + tokens
        self.xx = FORGET * self.xx + tokens * tokens
        self.y = FORGET * self.y + seconds
        self.xy = FORGET * self.xy + tokens * seconds
        self.line = self._fitted()  # once a step, as it is asked for with every request

    def _fitted(self) -> tuple[float, float]:
        """Neither is negative."""
        spread = self.xx - self.x * self.x / self.weight
        slope = (self.xy - self.x * self.y / self.weight) / spread if spread > 1 else 0.0
        if slope <= 0 or self.y < slope * self.x:  # all alike, or a line that starts below 0
            return self.y / max(self.x, 1.0), 0.0
        return slope, (self.y - slope * self.x) / self.weight

    def seconds(self, tokens: float) -> float:
        """What a step of so many tokens is expected to take."""
        slope, start = self.line
        return slope * tokens + start

    def tokens(self, seconds: float) -> int:
        """How many tokens are expected to take so long; 0 where not even none would."""
        slope, start = self.line
        return int(max(0.0, seconds - start) / max(slope, 1e-12))


@dataclass(slots=True)
class Costs:
    """Of one model: of whole steps, and of each stage of its bundle in turn.

    answers: sequences less a token that one bit of an explanation should answer; 0: none was run.
    """

    steps: Cost
    stages: list[Cost]
    answers: int = 0

    @classmethod
    def of(cls, manifest: Manifest) -> Costs:
        """Nothing learned yet."""
        return cls(Cost(), [Cost() for _ in manifest.stages])

    def learn(self, tokens: float, seconds: float, runs: Iterable[Spent]) -> None:
        """A step was run. runs: what each stage took of its tokens, of every run it was made of."""
        if tokens:
            self.steps.observe(tokens, seconds)
        for spent in runs:
            for cost, (some, took) in zip(self.stages, spent, strict=True):
                if some:
                    cost.observe(some, took)
