"""Whether a request is let into the queue: by how much waits, and by when it would be done."""

from __future__ import annotations

from collections.abc import Mapping

from service.engine.cost import Cost
from service.engine.job import Job
from service.engine.policy import Policy
from service.engine.scheduler import Scheduler
from service.errors import QueueFull


class Admission:
    """Knows what waits and what steps cost."""

    def __init__(self, policy: Policy, scheduler: Scheduler, costs: Mapping[str, Cost]) -> None:
        self._policy, self._scheduler, self._costs = policy, scheduler, costs

    def check(self, job: Job, requests: int, now: float, running: float) -> None:
        """Raises QueueFull when a job does not fit, or would not be done by its deadline.

        requests: how many there are already; running: seconds until the device is free. An empty
        queue takes a job of any size.
        """
        waiting = self._scheduler.waiting
        tokens = sum(waiting.values())
        if requests >= self._policy.queue_requests:
            what = f"the queue holds {requests} requests, its limit"
            raise QueueFull(what, self.seconds(waiting) / max(1, requests))
        over = tokens + job.cost - self._policy.queue_tokens
        if tokens and over > 0:
            what = f"the queue holds {tokens} tokens; {job.cost} more would pass its limit of "
            raise QueueFull(f"{what}{self._policy.queue_tokens}", self.seconds({job.model: over}))
        self._check_deadline(job, waiting, now, running)

    def _check_deadline(
        self, job: Job, waiting: Mapping[str, int], now: float, running: float
    ) -> None:
        allowed, own = job.deadline - now, self.seconds({job.model: job.cost})
        if self.seconds(waiting) + own + running <= allowed:
            return  # whatever the order
        expected = self.seconds(self._scheduler.ahead(job)) + own + running
        if expected > allowed and (waiting or running):
            raise QueueFull(
                f"{expected:.3g} seconds are expected until the answer; allowed are {allowed:.3g}",
                expected - allowed,
            )

    def seconds(self, tokens: Mapping[str, int]) -> float:
        """What so many tokens of each model will take, in steps as large as allowed."""
        return sum(self._rate(model) * count for model, count in tokens.items())

    def _rate(self, model: str) -> float:
        """Seconds per token."""
        most = self._scheduler.budget.tokens
        return self._costs[model].seconds(most) / most
