"""A request on its way through the engine, and what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from service.engine.job import Job, Step
from service.errors import DeadlinePassed
from service.pack import Array, Pack

Outputs = dict[str, Array]  # output name -> (T, width) or (N, width)
Task = Callable[[], Outputs]
MOST_STEPS = 64  # that are kept of a request, for whoever traces it


@dataclass(frozen=True, slots=True)
class Answer:
    """One request's outputs, in order of its sequences, and where its time went.

    steps: when each of the steps that it rode in began, and its seconds; of many the first ones.
    """

    outputs: Outputs
    queue_ms: float
    compute_ms: float
    steps: Sequence[tuple[float, float]] = ()


@dataclass(eq=False, slots=True)
class Request(Job):
    """A job with its tokens, what has come of it, and the future that its client awaits.

    work: a pack of its sequences; or a task that takes one step's time for itself.
    """

    work: Pack | Task = field(kw_only=True)
    submitted: float = field(kw_only=True)
    started: float | None = None
    computed: float = 0.0
    steps: list[tuple[float, float]] = field(default_factory=list)  # when they began, and seconds
    done: dict[int, Outputs] = field(default_factory=dict)  # by the first of their sequences
    missing: int = field(init=False)
    future: asyncio.Future[Answer] = field(default_factory=asyncio.Future)

    def __post_init__(self) -> None:
        Job.__post_init__(self)
        self.missing = len(self.lengths)

    def rode(self, started: float, seconds: float) -> None:
        """A step it had a part in was run."""
        self.started = started if self.started is None else self.started
        self.computed += seconds
        if len(self.steps) < MOST_STEPS:
            self.steps.append((started, seconds))

    def settle(self, first: int, last: int, outputs: Outputs) -> None:
        """Sequences ``first..last`` (last excluded) are done."""
        self.done[first] = outputs
        self.missing -= last - first
        if self.missing == 0 and not self.future.done():
            self.future.set_result(self._answer())

    def fail(self, error: Exception) -> None:
        """Nothing will come of it."""
        if not self.future.done():
            self.future.set_exception(error)

    def expire(self, seconds: float) -> None:
        """It has waited for so long, which is as long as it may."""
        self.fail(DeadlinePassed(f"not answered within {seconds:g} seconds"))

    def _answer(self) -> Answer:
        """All parts in order of their sequences: long ones come when they are done."""
        assert self.started is not None
        first, *others = (self.done[i] for i in sorted(self.done))
        outputs = first
        if others:
            outputs = {name: np.concatenate([d[name] for d in (first, *others)]) for name in first}
        queued = (self.started - self.submitted) * 1e3
        return Answer(outputs, queued, self.computed * 1e3, self.steps)


def riders(step: Step) -> set[Request]:
    """Whose tokens a step has."""
    jobs = [part.job for part in step.parts] + ([step.chunk.long.job] if step.chunk else [])
    return {job for job in jobs if isinstance(job, Request)}
