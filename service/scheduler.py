"""Chooses what runs next: pure policy, in tokens. Knows no HTTP, no numpy, no clock, no thread.

Jobs of one model and priority wait in one queue. A step takes sequences from the jobs at its front
until the token budget is full; a job that is not finished by then goes to the back, so a long job
shares every step with the others. Models take turns; a priority waits for those before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from service.errors import QueueFull

DEFAULT_PRIORITY = 2**31  # after all that name one: 1 is the highest


@dataclass(eq=False, slots=True)
class Job:
    """One request's sequences of one model, known to the scheduler by their lengths only."""

    model: str
    lengths: Sequence[int]
    priority: int = DEFAULT_PRIORITY
    taken: int = field(default=0, init=False)
    cost: int = field(init=False)

    def __post_init__(self) -> None:
        assert self.lengths, "a job has at least one sequence"
        self.cost = sum(map(cost, self.lengths))

    @property
    def queue(self) -> tuple[str, int]:
        """Which queue it waits in."""
        return self.model, self.priority


@dataclass(frozen=True, slots=True)
class Part:
    """Sequences ``first..last`` (last excluded) of a job."""

    job: Job
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Step:
    """What one engine run works on: parts of jobs of one model."""

    model: str
    parts: tuple[Part, ...]


def cost(length: int) -> int:
    """Tokens a sequence counts for; an empty one still takes a place."""
    return max(1, length)


class Scheduler:
    """A queue per model, bounded in tokens over all of them."""

    def __init__(self, step_tokens: int, queue_tokens: int) -> None:
        self._step_tokens, self._queue_tokens = step_tokens, queue_tokens
        self._queues: dict[tuple[str, int], deque[Job]] = {}
        self.waiting_tokens = 0

    def add(self, job: Job) -> None:
        """Queue a job; QueueFull when its tokens do not fit. An empty queue takes any job."""
        if self.waiting_tokens and self.waiting_tokens + job.cost > self._queue_tokens:
            raise QueueFull(
                f"the queue holds {self.waiting_tokens} tokens; {job.cost} more would pass its "
                f"limit of {self._queue_tokens}"
            )
        self.waiting_tokens += job.cost
        self._queues.setdefault(job.queue, deque()).append(job)

    def remove(self, job: Job) -> None:
        """Forget a job; what is already in a step is not recalled."""
        queue = self._queues.get(job.queue, deque())
        if job in queue:
            queue.remove(job)
            self.waiting_tokens -= sum(map(cost, job.lengths[job.taken :]))
            if not queue:
                del self._queues[job.queue]

    def next_step(self) -> Step | None:
        """The next step, or None when nothing waits. At least one sequence, then up to budget."""
        if not self._queues:
            return None
        key = min(self._queues, key=lambda key: key[1])  # of equal ones that which waits longest
        queue = self._queues.pop(key)
        parts = self._fill(queue)
        if queue:
            self._queues[key] = queue  # behind the other models
        return Step(key[0], tuple(parts))

    def _fill(self, queue: deque[Job]) -> list[Part]:
        parts: list[Part] = []
        room = self._step_tokens
        for _ in range(len(queue)):
            job = queue[0]
            last, used = _take(job, room, must=not parts)
            if last == job.taken:
                break
            parts.append(Part(job, job.taken, last))
            job.taken, room = last, room - used
            self.waiting_tokens -= used
            queue.popleft()
            if last < len(job.lengths):
                queue.append(job)
        return parts


def _take(job: Job, room: int, must: bool) -> tuple[int, int]:
    """How far into the job the room reaches, and the tokens used; at least one if ``must``."""
    last, used = job.taken, 0
    while last < len(job.lengths):
        more = cost(job.lengths[last])
        if used + more > room and not (must and last == job.taken):
            break
        last, used = last + 1, used + more
    return last, used
