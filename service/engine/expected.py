"""Work that was let in and comes to the queue as tasks, one by one: what of it is still to come.

Knows neither the tasks nor what waits in the queue.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from service.engine.job import Job


@dataclass(eq=False, slots=True)
class Rest:
    """Of one job, and counted while somebody is in it. tokens: in none of its tasks yet; whoever
    brings these keeps it.
    """

    job: Job
    tokens: int
    _all: set[Rest]

    def __enter__(self) -> Rest:
        self._all.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._all.discard(self)


class Expected:
    """Of one engine."""

    def __init__(self) -> None:
        self._rests: set[Rest] = set()

    def rest(self, job: Job) -> Rest:
        """All of a job that was let in."""
        return Rest(job, job.cost, self._rests)

    def of(self, client: str) -> int:
        """Tokens of one client."""
        return sum(rest.tokens for rest in self._rests if rest.job.client == client)

    def waiting(self) -> Counter[str]:
        """Tokens by model."""
        found: Counter[str] = Counter()
        for rest in self._rests:
            found[rest.job.model] += rest.tokens
        return found

    def ahead(self, job: Job, before: int) -> Counter[str]:
        """Tokens that would be run before the last of this job's, by model, were it added now.

        before: of what waits of its own model. Turns are by tokens: each of its client's other
        jobs gets as many as this one, and every other client as many as its own.
        """
        found: Counter[str] = Counter()
        rests = [rest for rest in self._rests if rest.job.priority <= job.priority]
        for rest in rests:
            if rest.job.client == job.client:
                found[rest.job.model] += min(rest.tokens, job.cost)
        reach, given = before + found.total() + job.cost, Counter[str]()
        for rest in rests:
            if (client := rest.job.client) != job.client:
                tokens = min(rest.tokens, reach - given[client])
                given[client] += tokens
                found[rest.job.model] += tokens
        return found
