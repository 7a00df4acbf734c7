"""Whether a request is let into the queue: by how much waits, and by when it would be done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from service.engine.brief import Brief
from service.engine.budget import LEAST
from service.engine.cost import Costs
from service.engine.expected import Expected
from service.engine.job import Job
from service.engine.pace import Pace
from service.engine.policy import Policy
from service.engine.scheduler import Scheduler
from service.errors import QueueFull

HARD = 2  # times its limit is what the queue never holds, however many clients there are


@dataclass(frozen=True, slots=True)
class Load:
    """Requests that wait or run, those of the client who asks, and how many clients there are."""

    requests: int
    own: int
    clients: int


def full(total: int, own: int, most: int, clients: int) -> bool:
    """Whether there would be too many, of them so many of the client's own: where its limit is
    passed there is still room for clients who have less than a share.
    """
    return total > HARD * most or (total > most and own * clients > most)


class Admission:
    """Knows what waits, what is still to come of what was let in, and what steps cost."""

    def __init__(
        self, policy: Policy, scheduler: Scheduler, costs: Mapping[str, Costs], brief: Brief
    ) -> None:
        self._policy, self._scheduler = policy, scheduler
        self._costs, self._brief, self.pace = costs, brief, Pace()
        self.expected = Expected()

    @property
    def waiting(self) -> dict[str, int]:
        """Tokens in no step, by model; those that are still to come as tasks, too."""
        found = self._scheduler.waiting
        for model, tokens in self.expected.waiting().items():
            found[model] = found.get(model, 0) + tokens
        return found

    def check(self, job: Job, load: Load, now: float, running: float) -> None:
        """Raises QueueFull when a job does not fit, or would not be done by its deadline.

        In a full queue there is still room for clients who have less than their share in it.
        running: seconds until the device is free. An empty queue takes a job of any size.
        """
        waiting = self.waiting
        if full(load.requests + 1, load.own + 1, self._policy.queue_requests, load.clients):
            what = f"the queue holds {load.requests} requests, of {load.clients} clients"
            what = f"{what}; the limit is {self._policy.queue_requests}"
            raise QueueFull(what, self.seconds(waiting) / max(1, load.requests), "requests")
        tokens, most = sum(waiting.values()), self._policy.queue_tokens
        own = self._scheduler.waiting_of(job.client) + self.expected.of(job.client) + job.cost
        if tokens and full(tokens + job.cost, own, most, load.clients):
            what = (
                f"the queue holds {tokens} tokens; {job.cost} more would pass its limit of {most}"
            )
            raise QueueFull(what, self.seconds({job.model: tokens + job.cost - most}), "tokens")
        self._check_deadline(job, waiting, now, running)

    def _check_deadline(
        self, job: Job, waiting: Mapping[str, int], now: float, running: float
    ) -> None:
        allowed, own = job.deadline - now, self.seconds({job.model: job.cost})
        if self.seconds(waiting) + own + running <= allowed and not self._scheduler.is_long(job):
            return  # whatever the order
        expected = self.seconds(self._ahead(job)) + own + running
        if expected > allowed and (any(waiting.values()) or running):
            raise QueueFull(
                f"{expected:.3g} seconds are expected until the answer; allowed are {allowed:.3g}",
                expected - allowed,
                "deadline",
            )

    def _ahead(self, job: Job) -> Mapping[str, int]:
        """Tokens that would be run before the last of this job's, by model."""
        found = Counter(self._scheduler.ahead(job))
        return found + self.expected.ahead(job, found[job.model])

    def seconds(self, tokens: Mapping[str, int]) -> float:
        """What so many tokens of each model will take, in steps as large as allowed."""
        return sum(self._rate(model) * count for model, count in tokens.items())

    def _rate(self, model: str) -> float:
        """Seconds per token."""
        most = min(self._scheduler.budget.tokens, max(LEAST, self._brief.tokens(model)))
        return self.pace.slowness * self._costs[model].steps.seconds(most) / most
