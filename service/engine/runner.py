"""Runs steps on the device, one at a time, and keeps errors to the requests that cause them."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from service.engine.cost import Spent
from service.engine.job import Chunk, Job, Long, Part, Step
from service.engine.prover import Proof
from service.engine.request import Outputs, Request
from service.engine.starts import Started, Starts
from service.errors import NotServing, ServiceError, StepFailed
from service.pack import Pack, runs

NO_MEMORY = ("failed to allocate memory", "bad allocation", "bad_alloc", "out of memory")

Result = Outputs | Exception

log = logging.getLogger("sumserve.engine")


@dataclass(slots=True)
class Outcome:
    """A step's results per part; its chunk's, once the long sequence is done; and its time.

    tokens: of whole runs; of a chunk in part. exhausted: it ran out of memory on the way.
    """

    started: float
    results: list[Result] = field(default_factory=list)
    chunk: Result | None = None
    tokens: float = 0.0
    seconds: float = 0.0
    spent: list[Spent] = field(default_factory=list)  # of each run it took
    exhausted: bool = False

    @property
    def failed(self) -> bool:
        """Whether anything did."""
        return self.exhausted or any(isinstance(r, Exception) for r in [*self.results, self.chunk])


@dataclass(frozen=True, slots=True)
class Running:
    """What runs, since when (time.monotonic) and in which thread."""

    model: str
    work: Step | Proof
    since: float
    thread: int


class Runner:
    """Runs steps through sessions, one after the other."""

    def __init__(self, sessions: Mapping[str, Starts], clock: Callable[[], float]) -> None:
        self._sessions, self.clock = sessions, clock
        self._started: dict[Long, Started] = {}
        self.running: Running | None = None
        self._stopped, self._turn = False, threading.Lock()

    def run(self, step: Step) -> Outcome:
        """Run a step. Whatever fails is run again in halves, until only the culprit is left."""
        with self._as(step.model, step):
            outcome = Outcome(self.clock())
            self._run_parts(step.parts, outcome)
            if step.chunk:
                outcome.chunk, advanced = self._advance(step.chunk, outcome)
                outcome.tokens += advanced / step.chunk.long.job.passes
            outcome.seconds = self.clock() - outcome.started
            return outcome

    def prove(self, model: str, proof: Proof) -> object:
        """Run what raises when a model does not answer as it should."""
        with self._as(model, proof):
            return proof()

    def stop(self, running: Running) -> bool:
        """From another thread: give it up, if it is what runs."""
        with self._turn:
            session = self._sessions.get(running.model)
            if running is not self.running or session is None:
                return False
            session.stop()
            self._stopped = True
            return True

    def forget(self) -> None:
        """Let go of what was started for jobs that nobody awaits."""
        self._started = {own: run for own, run in self._started.items() if not own.job.dropped}

    @contextmanager
    def _as(self, model: str, work: Step | Proof) -> Iterator[None]:
        """While it runs. When it begins nothing is given up any more."""
        with self._turn:
            self._stopped = False
            self._sessions[model].stop(now=False)
            self.running = Running(model, work, time.monotonic(), threading.get_ident())
        try:
            yield
        finally:
            with self._turn:
                self.running = None

    def _run_parts(self, parts: Sequence[Part], outcome: Outcome) -> None:
        """Packs together, tasks one by one."""
        packed = [part for part in parts if isinstance(_request(part.job).work, Pack)]
        found = dict(zip(packed, self._isolated(packed, outcome), strict=True))
        outcome.results = [found[part] if part in found else self._task(part) for part in parts]
        pairs = zip(parts, outcome.results, strict=True)
        outcome.tokens += sum(p.tokens for p, found in pairs if not isinstance(found, Exception))

    def _isolated(self, parts: Sequence[Part], outcome: Outcome) -> list[Result]:
        """A result per part; an error only for the parts that cause it."""
        if not parts:
            return []
        try:
            return list(self._packed(parts, outcome))
        except Exception as error:  # whatever the runtime raises, only the culprit may suffer
            exhausted, first = _no_memory(error), parts[0]
            if self._stopped or len(parts) == 1 == first.last - first.first:
                return [self._failure(part, error) for part in parts]
        half = len(parts) // 2
        if half:
            found = self._isolated(parts[:half], outcome) + self._isolated(parts[half:], outcome)
        else:
            found = [self._halved(first, outcome)]
        # What runs out of memory alone says nothing of how large steps may be.
        outcome.exhausted |= exhausted and not all(isinstance(r, Exception) for r in found)
        return found

    def _halved(self, part: Part, outcome: Outcome) -> Result:
        """One part of several sequences, half by half."""
        middle, halves = (part.first + part.last) // 2, []
        for half in Part(part.job, part.first, middle), Part(part.job, middle, part.last):
            (result,) = self._isolated([half], outcome)
            if isinstance(result, Exception):
                return result
            halves.append(result)
        return {name: np.concatenate([half[name] for half in halves]) for name in halves[0]}

    def _packed(self, parts: Sequence[Part], outcome: Outcome) -> list[Outputs]:
        """Parts of one model as one pack."""
        session = self._sessions[parts[0].job.model]
        packs = [_pack(part.job).part(part.first, part.last) for part in parts]
        run = session.start(Pack.join(packs))
        run.advance()
        outcome.spent.append(run.spent())
        found = run.outputs
        sizes = {
            "token": [pack.tokens for pack in packs],
            "sequence": [len(pack.lengths) for pack in packs],
        }
        outputs = session.manifest.outputs
        rows = {o.name: runs(found[o.name], sizes[o.per]) for o in outputs}
        return [{name: own[i] for name, own in rows.items()} for i in range(len(parts))]

    def _task(self, part: Part) -> Result:
        work = _request(part.job).work
        assert not isinstance(work, Pack)
        try:
            return work()
        except ServiceError as error:
            return error
        except Exception as error:
            return self._failure(part, error)

    def _advance(self, chunk: Chunk, outcome: Outcome) -> tuple[Result | None, int]:
        """Bring a long sequence on its way: its outputs at the end, and how far it came."""
        long = chunk.long
        if long.job.dropped or long.done:
            return None, 0
        for last in False, True:
            try:
                run = self._started.get(long) or self._begin(long)
                advanced = run.advance(math.inf if chunk.last else chunk.tokens)
                outcome.spent.append(run.spent())
                outcome.exhausted |= last
                long.done = run.done
                return (self._started.pop(long).outputs if run.done else None), advanced
            except Exception as error:
                self._started.pop(long, None)  # a run that has failed cannot go on
                if last or self._stopped or not _no_memory(error):
                    long.done = True
                    part = Part(long.job, long.sequence, long.sequence + 1)
                    return self._failure(part, error), 0
        raise AssertionError("either way it has returned")

    def _begin(self, long: Long) -> Started:
        pack = _pack(long.job).part(long.sequence, long.sequence + 1)
        self._started[long] = run = self._sessions[long.job.model].start(pack)
        return run

    def _failure(self, part: Part, error: Exception) -> Exception:
        """What the client is told; the log has the rest."""
        if self._stopped:
            return NotServing("the run took too long and was stopped; another try may do better")
        name = part.job.model
        log.error("a request of %s failed at sequence %d", name, part.first, exc_info=error)
        return StepFailed(f"sequence {part.first}: the model failed on this input")


def _no_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in NO_MEMORY)


def _request(job: Job) -> Request:
    assert isinstance(job, Request)
    return job


def _pack(job: Job) -> Pack:
    pack = _request(job).work
    assert isinstance(pack, Pack)
    return pack
