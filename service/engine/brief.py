"""Which steps the event loop may wait for: those that are sure to be short."""

from __future__ import annotations

import math
from collections.abc import Mapping

from service.engine.cost import Costs
from service.engine.job import Step
from service.manifest import Manifest

LINEAR = {"tokens", "sequences"}  # stages that take as long as they have tokens
SLACK = 2.0  # times as long as planned: what is still run on the loop


class Brief:
    """Of some models, steps of so many seconds, by what their steps have been found to cost.

    Not of those with attention, or wrapped ones: what they take goes by the lengths too, and cannot
    be told from the tokens. Nor where a step takes half of that time before its first token.
    """

    def __init__(self, seconds: float, costs: Mapping[str, Costs]) -> None:
        """seconds: 0, where no step is to run on the loop."""
        self._seconds, self._costs = seconds, costs
        self._linear: set[str] = set()

    def add(self, model: str, manifest: Manifest) -> None:
        """From now on it knows this model."""
        if {stage.kind for stage in manifest.stages} <= LINEAR:
            self._linear.add(model)

    def remove(self, model: str) -> None:
        """It knows it no more."""
        self._linear.discard(model)

    def tokens(self, model: str) -> float:
        """How many a step should have, so as to be brief; any number where none can be."""
        if not self._seconds or model not in self._linear:
            return math.inf
        cost = self._costs[model].steps
        return cost.tokens(self._seconds) if cost.seconds(0) <= self._seconds / 2 else math.inf

    def holds(self, step: Step) -> bool:
        """Whether the loop may wait for it."""
        if math.isinf(self.tokens(step.model)):
            return False
        return self._costs[step.model].steps.seconds(step.tokens) <= SLACK * self._seconds
