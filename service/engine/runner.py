"""The device's one thread: runs steps, and keeps errors to the requests that cause them."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from service.engine.job import Chunk, Job, Long, Part, Step
from service.manifest import Manifest
from service.pack import Array, Pack

Outputs = dict[str, Array]  # output name -> (T, width) or (N, width)

log = logging.getLogger("sumserve.engine")


class Runs(Protocol):
    """A session, as far as it is needed to run packs whole."""

    manifest: Manifest

    def run(self, pack: Pack) -> dict[str, Array]:
        """Outputs of a pack, by name."""


class Started(Protocol):
    """A pack on its way through the stages."""

    done: bool

    def advance(self, tokens: float) -> int:
        """Run on for so many tokens of its stages, or a few more."""

    @property
    def outputs(self) -> dict[str, Array]:
        """What there is when it is done."""


class Starts(Runs, Protocol):
    """What the engine needs of a session."""

    def start(self, pack: Pack) -> Started:
        """The same as `run`, to be advanced bit by bit."""


@dataclass(eq=False, slots=True)
class PackedJob(Job):
    """A job with its tokens."""

    pack: Pack = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A step's outputs per part, or the error of that part; of its chunk; and its time.

    chunk: None while the long sequence is on its way. tokens: of whole runs; of a chunk in part.
    """

    results: list[Outputs | Exception]
    chunk: Outputs | Exception | None
    tokens: float
    started: float
    seconds: float


class Runner:
    """Runs steps through sessions, one after the other."""

    def __init__(self, sessions: Mapping[str, Starts], clock: Callable[[], float]) -> None:
        self._sessions, self._clock = sessions, clock
        self._started: dict[Long, Started] = {}

    def run(self, step: Step) -> Outcome:
        """Run a step; when it fails, run its parts one by one."""
        started = self._clock()
        try:
            results = self._run_parts(step.model, step.parts) if step.parts else []
        except Exception as error:  # whatever the runtime raises, only the culprit may suffer
            log.warning("step of %s failed, running its parts alone: %s", step.model, error)
            results = [self._run_alone(step.model, part) for part in step.parts]
        tokens: float = sum(part.tokens for part in step.parts)
        chunk = None
        if step.chunk:
            chunk, advanced = self._advance(step.chunk)
            tokens += advanced / step.chunk.long.job.passes
        return Outcome(results, chunk, tokens, started, self._clock() - started)

    def forget(self) -> None:
        """Let go of what was started for jobs that nobody awaits."""
        self._started = {own: run for own, run in self._started.items() if not own.job.dropped}

    def _advance(self, chunk: Chunk) -> tuple[Outputs | Exception | None, int]:
        """Bring a long sequence on its way: its outputs at the end, and how far it came."""
        long, job = chunk.long, chunk.long.job
        if job.dropped or long.done:
            return None, 0
        try:
            if long not in self._started:
                pack = _packed(job).part(long.sequence, long.sequence + 1)
                self._started[long] = self._sessions[job.model].start(pack)
            run = self._started[long]
            advanced = run.advance(math.inf if chunk.last else chunk.tokens)
            long.done = run.done
            return (self._started.pop(long).outputs if run.done else None), advanced
        except Exception as error:
            log.error("a request of %s failed", job.model, exc_info=error)
            self._started.pop(long, None)
            long.done = True
            return error, 0

    def _run_alone(self, model: str, part: Part) -> Outputs | Exception:
        try:
            return self._run_parts(model, (part,))[0]
        except Exception as error:
            log.error("a request of %s failed", model, exc_info=error)
            return error

    def _run_parts(self, model: str, parts: Sequence[Part]) -> list[Outputs | Exception]:
        session = self._sessions[model]
        packs = [_packed(part.job).part(part.first, part.last) for part in parts]
        found = session.run(Pack.join(packs))
        ends = {
            "token": np.cumsum([pack.tokens for pack in packs])[:-1],
            "sequence": np.cumsum([len(pack.lengths) for pack in packs])[:-1],
        }
        outputs = session.manifest.outputs
        rows = {o.name: np.split(found[o.name], ends[o.per]) for o in outputs}
        return [{name: own[i] for name, own in rows.items()} for i in range(len(parts))]


def passes(manifest: Manifest) -> int:
    """How often a token goes through a stage: what `Started.advance` counts."""
    return sum(stage.kind != "sequences" for stage in manifest.stages)


def _packed(job: Job) -> Pack:
    assert isinstance(job, PackedJob)
    return job.pack
