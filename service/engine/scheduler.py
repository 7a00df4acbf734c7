"""Chooses what runs next: pure policy, in tokens. Knows no HTTP, no numpy, no thread.

A step is of one model. A priority waits for those before it; of models that are equal in that, the
one that was given the fewest tokens comes first. What of a model runs is its lane's choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from service.engine.budget import LEAST, Budget
from service.engine.job import Job, Long, Step
from service.engine.lane import Lane

SEVERAL = 4  # steps that a long sequence must take for the others not to wait for whole ones


class Scheduler:
    """A lane per model and priority."""

    def __init__(self, step_tokens: int, long_tokens: int) -> None:
        """long_tokens: sequences of more go bit by bit; of more than a step at least."""
        self.budget, self._long_tokens = Budget(step_tokens), long_tokens
        self._lanes: dict[tuple[int, str], Lane] = {}

    @property
    def waiting(self) -> dict[str, int]:
        """Tokens in no step, by model; long sequences count until their last one."""
        found: dict[str, int] = {}
        for lane in self._lanes.values():
            found[lane.model] = found.get(lane.model, 0) + lane.waiting
        return found

    def waiting_of(self, client: str) -> int:
        """Tokens of one client that are in no step."""
        return sum(lane.waiting_of(client) for lane in self._lanes.values())

    def add(self, job: Job) -> None:
        """Queue a job."""
        key = job.priority, job.model
        if key not in self._lanes:
            least = min((lane.served for lane in self._lanes.values()), default=0)
            self._lanes[key] = Lane(job.model, least)
        self._lanes[key].add(job)

    def ahead(self, job: Job) -> dict[str, int]:
        """Tokens that would be run before the last of this job's, by model, were it added now."""
        own = self._lanes.get((job.priority, job.model), Lane(job.model, 0))
        before = own.ahead(job, self._long_tokens)
        found = {job.model: before}
        for (priority, model), lane in self._lanes.items():
            if lane is not own and priority <= job.priority:
                most = lane.waiting if priority < job.priority else before + job.cost
                found[model] = found.get(model, 0) + min(lane.waiting, most)
        return found

    def is_long(self, job: Job) -> bool:
        """Whether it goes bit by bit, beside whoever comes later."""
        return max(job.lengths) > self._long_tokens and not job.whole

    def remove(self, job: Job) -> None:
        """Forget a job; what is already in a step is not recalled."""
        lane = self._lanes.get((job.priority, job.model))
        if lane is not None:
            lane.drop(job)

    def forget(self, model: str) -> None:
        """A model is there no more; nobody awaits what was queued of it."""
        self._lanes = {key: lane for key, lane in self._lanes.items() if lane.model != model}

    def finish(self, long: Long) -> None:
        """A long sequence was done before all of its chunks were planned."""
        lane = self._lanes.get((long.job.priority, long.job.model))
        if lane is not None:
            lane.finish(long)

    def next_step(
        self,
        now: float = 0.0,
        most: Callable[[str, bool], float] = lambda *_: math.inf,
        brief: Callable[[str], float] = lambda _: math.inf,
    ) -> Step | None:
        """The next step, or None when nothing waits. At least one sequence, then up to budget.

        most: a model, and whether one of its long sequences is on its way -> tokens that a step
        should not have more of; brief: a model -> the same, but for a single sequence.
        """
        self._lanes = {key: lane for key, lane in self._lanes.items() if lane.waits(now)}
        if not self._lanes:
            return None
        first = min(self._lanes, key=lambda key: (key[0], self._lanes[key].served))
        lane = self._lanes[first]
        room = min(self.budget.tokens, max(LEAST, brief(lane.model)))
        shared = lane.shared(min(self.budget.tokens, SEVERAL * room))
        budget = min(self.budget.tokens, max(LEAST, most(lane.model, shared)))
        return lane.step(int(min(room, budget)), min(self._long_tokens, int(budget)), now)
