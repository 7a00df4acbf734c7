"""Chooses what runs next: pure policy, in tokens. Knows no HTTP, no numpy, no clock, no thread.

A step is of one model. A priority waits for those before it; of models that are equal in that, the
one that was given the fewest tokens comes first. What of a model runs is its lane's choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from service.engine.job import Job, Long, Step
from service.engine.lane import Lane
from service.errors import QueueFull

LEAST = 256  # tokens of a shared step: with fewer most of its time would be lost


class Scheduler:
    """A lane per model and priority, bounded in tokens over all of them."""

    def __init__(self, step_tokens: int, queue_tokens: int, long_tokens: int) -> None:
        """long_tokens: sequences of more go bit by bit; of more than a step at least."""
        self._step_tokens, self._queue_tokens = step_tokens, queue_tokens
        self._long_tokens = min(long_tokens, step_tokens)
        self._lanes: dict[tuple[int, str], Lane] = {}
        self.waiting_tokens = 0

    def add(self, job: Job) -> None:
        """Queue a job; QueueFull when its tokens do not fit. An empty queue takes any job."""
        if self.waiting_tokens and self.waiting_tokens + job.cost > self._queue_tokens:
            raise QueueFull(
                f"the queue holds {self.waiting_tokens} tokens; {job.cost} more would pass its "
                f"limit of {self._queue_tokens}"
            )
        self.waiting_tokens += job.cost
        key = job.priority, job.model
        if key not in self._lanes:
            least = min((lane.served for lane in self._lanes.values()), default=0)
            self._lanes[key] = Lane(job.model, least)
        self._lanes[key].add(job)

    def remove(self, job: Job) -> None:
        """Forget a job; what is already in a step is not recalled."""
        lane = self._lanes.get((job.priority, job.model))
        if lane is not None and not job.dropped:
            self.waiting_tokens -= lane.drop(job)

    def finish(self, long: Long) -> None:
        """A long sequence was done before all of its chunks were planned."""
        lane = self._lanes.get((long.job.priority, long.job.model))
        if lane is not None and not long.job.dropped:
            self.waiting_tokens -= lane.finish(long)

    def next_step(self, shared: Callable[[str], float] = lambda _: math.inf) -> Step | None:
        """The next step, or None when nothing waits. At least one sequence, then up to budget.

        shared: a model -> most tokens of a step while one of its long sequences is on its way.
        """
        self._lanes = {key: lane for key, lane in self._lanes.items() if lane.waits()}
        if not self._lanes:
            return None
        first = min(self._lanes, key=lambda key: (key[0], self._lanes[key].served))
        lane, budget = self._lanes[first], self._step_tokens
        if lane.shared:
            budget = int(min(budget, max(LEAST, shared(lane.model))))
        step = lane.step(budget, min(self._long_tokens, budget))
        self.waiting_tokens -= step.tokens
        return step
