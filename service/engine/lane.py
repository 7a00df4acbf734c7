"""The jobs of one model and priority, and which of their sequences make up the next step.

Among clients, who was given the fewest tokens comes first. Among a client's own jobs the smaller
one does, but a large one is overtaken by no more tokens than it has itself. Sequences that are too
long for a step go bit by bit, in the room that the others leave, a quarter of the step at least.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

from service.engine.job import Chunk, Job, Long, Part, Step, cost

RESERVED = 4  # one part in so many of a step is for long sequences, when there are any
LATELY = 16  # steps, by which it is told what long sequences get of one
OLDEST = 4  # one chunk in so many goes to the long sequence that has waited longest


@dataclass(slots=True)
class Client:
    """One client's jobs, by what it had been given when they came and what they cost."""

    served: int
    waiting: int = 0  # tokens of its jobs that are in no step
    jobs: list[tuple[int, int, Job]] = field(default_factory=list)

    def first(self, now: float) -> Job | None:
        """The job whose turn it is; what nobody awaits is forgotten."""
        while self.jobs and self.jobs[0][2].gone(now):
            self.drop(heapq.heappop(self.jobs)[2])
        return self.jobs[0][2] if self.jobs else None

    def drop(self, job: Job) -> None:
        """Count a job out."""
        if not job.dropped:
            job.dropped = True
            self.waiting -= job.left

    def before(self, job: Job) -> int:
        """Tokens of its jobs whose turn would come before that of another one."""
        mark = self.served + job.cost
        return sum(own.left for place, _, own in self.jobs if place <= mark and not own.dropped)


class Lane:
    """A queue per client, and the sequences that are on their way."""

    def __init__(self, model: str, served: int) -> None:
        self.model, self.served = model, served
        self._clients: dict[str, Client] = {}
        self._longs: list[Long] = []
        self._chunks = self._order = 0
        self._share = 1.0  # what long sequences lately got of the steps
        self._passed_over = False  # whether long sequences got nothing of the last step

    def waits(self, now: float) -> bool:
        """Whether there is anything to run. Forgets clients that wait for nothing."""
        self._longs = [long for long in self._longs if not long.job.gone(now)]
        busy = {long.job.client for long in self._longs}
        self._clients = {n: c for n, c in self._clients.items() if c.first(now) or n in busy}
        return bool(self._clients)

    def shared(self, tokens: float) -> bool:
        """Whether a sequence of more tokens is on its way."""
        return any(long.length > tokens for long in self._longs)

    @property
    def waiting(self) -> int:
        """Tokens of jobs and of long sequences on their way."""
        on_their_way = sum(long.length for long in self._longs if not long.job.dropped)
        return sum(client.waiting for client in self._clients.values()) + on_their_way

    def waiting_of(self, client: str) -> int:
        """Tokens of one client's jobs, and of its long sequences on their way."""
        queued = self._clients[client].waiting if client in self._clients else 0
        longs = (long for long in self._longs if long.job.client == client)
        return queued + sum(long.length for long in longs if not long.job.dropped)

    def add(self, job: Job) -> None:
        """Queue a job; a client that comes back has no credit for the time it was away."""
        client = self._clients.setdefault(job.client, Client(self._least()))
        self._order += 1
        client.waiting += job.cost
        heapq.heappush(client.jobs, (client.served + job.cost, self._order, job))

    def ahead(self, job: Job, most: int) -> int:
        """Tokens that would be run before the last of this job's, were it added now.

        Its sequences of more than ``most`` share with others what such ones lately got of the
        steps: whoever comes later goes on getting the rest.
        """
        own = self._clients.get(job.client, Client(self._least()))
        before = own.before(job)
        reach = own.served + before + job.cost
        others = (c for name, c in self._clients.items() if name != job.client)
        before += sum(min(c.waiting, max(0, reach - c.served)) for c in others)
        longs = sum(long.length for long in self._longs)
        if max(job.lengths) <= most or job.whole:
            return before + min(longs, (before + job.cost) // (RESERVED - 1))
        left = sum(long.left // long.job.passes for long in self._longs) + job.cost
        return before + int(left / max(self._share, 1 / RESERVED)) - job.cost

    def drop(self, job: Job) -> None:
        """Forget a job that waits."""
        if job.client in self._clients:
            self._clients[job.client].drop(job)
        job.dropped = True

    def finish(self, long: Long) -> None:
        """A long sequence is done."""
        if long in self._longs:
            self._longs.remove(long)

    def step(self, budget: int, most: int, now: float) -> Step:
        """The next step of up to ``budget`` tokens, or of one sequence of up to ``most``; those
        above are long, and so are those that do not fit beside such ones.
        """
        room = budget - budget // RESERVED if self._longs else budget
        waited = self._passed_over
        parts = self._parts(room, min(most, room) if self._longs else most, now, not waited)
        used = sum(part.tokens for part in parts)
        chunk = self._chunk(budget - used)
        self._passed_over = bool(self._longs) and chunk is None
        if chunk or self._longs:
            got = budget - used if chunk else 0
            self._share += (got / max(1, budget) - self._share) / LATELY
        self.served += budget if chunk else used
        return Step(self.model, tuple(parts), chunk)

    def _least(self) -> int:
        return min((client.served for client in self._clients.values()), default=0)

    def _parts(self, room: int, most: int, now: float, tasks: bool) -> list[Part]:
        """Whole sequences in order of turns; one at least, if none is long. tasks: or a task, even
        where it is as large as the step and leaves no room for a chunk.
        """
        parts: list[Part] = []
        while client := self._turn(now):
            job = client.first(now)
            assert job is not None
            first, waited = job.next, job.left
            must = not parts and (not self._longs or (tasks and job.whole))
            used = self._take(job, room, most, must)
            client.waiting -= waited - job.left
            room, client.served = room - used, client.served + used
            parts += _runs(job, first, most)
            if job.next < len(job.lengths):
                break
            heapq.heappop(client.jobs)
        return parts

    def _turn(self, now: float) -> Client | None:
        """Of the clients whose jobs wait, the one that was given least."""
        waiting = (client for client in self._clients.values() if client.first(now))
        return min(waiting, key=lambda client: client.served, default=None)

    def _take(self, job: Job, room: int, most: int, must: bool) -> int:
        """Move a job on as far as there is room; long sequences on the way join the others."""
        used = 0
        while job.next < len(job.lengths):
            length = job.lengths[job.next]
            if length > most and not job.whole:
                self._longs.append(Long(job, job.next))
            elif used + cost(length) > room and (used or not must):
                break
            else:
                used += cost(length)
            job.next += 1
            job.left -= cost(length)
        return used

    def _chunk(self, room: int) -> Chunk | None:
        """The next of a long sequence, of about so many tokens."""
        if not self._longs or room <= 0:
            return None
        self._chunks += 1
        long = self._longs[0] if self._chunks % OLDEST == 0 else min(self._longs, key=self._rank)
        tokens = room * long.job.passes
        long.left -= tokens
        self._clients[long.job.client].served += room
        if long.left <= 0:
            self._longs.remove(long)
        return Chunk(long, tokens, last=long.left <= 0)

    def _rank(self, long: Long) -> tuple[int, int]:
        return self._clients[long.job.client].served, long.left


def _runs(job: Job, first: int, most: int) -> Iterator[Part]:
    """The short sequences among those from ``first`` to where the job is, in runs."""
    for i in range(first, job.next):
        if job.lengths[i] > most and not job.whole:
            if first < i:
                yield Part(job, first, i)
            first = i + 1
    if first < job.next:
        yield Part(job, first, job.next)
