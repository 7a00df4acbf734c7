"""The engine: one scheduler, the sessions, and the one runner thread of the device.

All of it but `_run` lives on the event loop, so nothing needs a lock. One step runs while the
next is already formed and waits for the runner.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from service.engine.cost import Cost
from service.engine.job import DEFAULT_PRIORITY, Job, Long, Part, Step
from service.engine.runner import Outcome, Outputs, PackedJob, Runner, Starts, passes
from service.engine.scheduler import Scheduler
from service.errors import NotServing, StepFailed
from service.pack import Pack

SHARED_SECONDS = 0.004  # of a step while a long sequence is on its way
AHEAD = 2  # steps handed to the runner: the one that runs and the one that waits


@dataclass(frozen=True, slots=True)
class Answer:
    """One request's outputs, in order of its sequences, and where its time went."""

    outputs: Outputs
    queue_ms: float
    compute_ms: float


@dataclass(eq=False, slots=True)
class Request(PackedJob):
    """A job, what has come of it, and the future that its client awaits."""

    submitted: float = 0.0
    started: float | None = None
    computed: float = 0.0
    done: dict[int, Outputs] = field(default_factory=dict)  # by the first of their sequences
    missing: int = 0
    future: asyncio.Future[Answer] = field(default_factory=asyncio.Future)


class Engine:
    """Runs requests through sessions, packed. Make and use it on one event loop."""

    def __init__(
        self,
        sessions: Mapping[str, Starts],
        scheduler: Scheduler,
        clock: Callable[[], float] = time.perf_counter,
        shared_seconds: float = SHARED_SECONDS,
    ) -> None:
        self._shared_seconds = shared_seconds
        self._scheduler, self._clock = scheduler, clock
        self._passes = {name: passes(own.manifest) for name, own in sessions.items()}
        self._runner = Runner(sessions, clock)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="runner")
        self._running: set[asyncio.Future[Outcome]] = set()
        self._open: set[Request] = set()
        self._closed = False
        self.costs = {name: Cost() for name in sessions}
        self.ran: Callable[[str, int, float], None] = _nothing  # model, sequences, seconds

    async def predict(
        self, model: str, pack: Pack, priority: int = DEFAULT_PRIORITY, client: str = ""
    ) -> Answer:
        """Queue one request and wait for its answer. Clients share the engine evenly.

        Raises QueueFull, NotServing once the engine is closed, and StepFailed when the model
        fails on this request. Cancelled, it leaves the queue.
        """
        if self._closed:
            raise NotServing("the server is shutting down")
        lengths = pack.lengths.tolist()
        about = (model, lengths, client, priority, self._passes[model])
        request = Request(*about, pack=pack, missing=len(lengths))
        request.submitted = self._clock()
        self._scheduler.add(request)
        self._open.add(request)
        self._dispatch()
        try:
            return await request.future
        except asyncio.CancelledError:
            self._scheduler.remove(request)
            if not self._closed:
                self._thread.submit(self._runner.forget)
            raise
        finally:
            self._open.discard(request)

    async def close(self) -> None:
        """Refuse new requests, fail what still waits, and stop the runner after its steps."""
        self._closed = True
        for request in self._open:
            self._scheduler.remove(request)
        await asyncio.gather(*self._running, return_exceptions=True)
        for request in self._open:
            _fail(request, NotServing("the server shut down before this request was run"))
        self._thread.shutdown()

    def _dispatch(self) -> None:
        """Hand steps to the runner until enough are with it."""
        while len(self._running) < AHEAD and (step := self._next()):
            loop = asyncio.get_running_loop()
            future = loop.run_in_executor(self._thread, self._runner.run, step)
            self._running.add(future)
            future.add_done_callback(partial(self._deliver, step))

    def _next(self) -> Step | None:
        """The next step; a short one while a long sequence shares the device with others."""
        return self._scheduler.next_step(lambda m: self.costs[m].tokens(self._shared_seconds))

    def _deliver(self, step: Step, future: asyncio.Future[Outcome]) -> None:
        """On the loop: give each part's result to its request, then hand out the next step."""
        self._running.discard(future)
        outcome = future.result()
        sequences = sum(part.last - part.first for part in step.parts)
        self.costs[step.model].observe(outcome.tokens, outcome.seconds)
        self.ran(step.model, sequences + (step.chunk is not None), outcome.seconds)
        for part, result in zip(step.parts, outcome.results, strict=True):
            self._settle(part, result, outcome)
        if step.chunk:
            self._bring(step.chunk.long, outcome)
        self._dispatch()

    def _bring(self, long: Long, of: Outcome) -> None:
        """A long sequence has come further, or to its end."""
        request, i = _request(long.job), long.sequence
        if of.chunk is not None:
            self._scheduler.finish(long)
            self._settle(Part(request, i, i + 1), of.chunk, of)
        else:
            request.started = of.started if request.started is None else request.started
            request.computed += of.seconds

    def _settle(self, part: Part, result: Outputs | Exception, of: Outcome) -> None:
        request = _request(part.job)
        if isinstance(result, Exception):
            self._scheduler.remove(request)
            _fail(request, StepFailed("the model failed on this input"))
            return
        request.started = of.started if request.started is None else request.started
        request.computed += of.seconds
        request.done[part.first] = result
        request.missing -= part.last - part.first
        if request.missing == 0 and not request.future.done():
            request.future.set_result(_answer(request))


def _nothing(model: str, sequences: int, seconds: float) -> None:
    """Nobody counts the steps."""


def _request(job: Job) -> Request:
    assert isinstance(job, Request)
    return job


def _fail(request: Request, error: Exception) -> None:
    if not request.future.done():
        request.future.set_exception(error)


def _answer(request: Request) -> Answer:
    """All parts in order of their sequences: long ones come when they are done."""
    assert request.started is not None
    first, *others = (request.done[i] for i in sorted(request.done))
    outputs = first
    if others:
        outputs = {name: np.concatenate([d[name] for d in (first, *others)]) for name in first}
    queued = request.started - request.submitted
    return Answer(outputs, queued * 1e3, request.computed * 1e3)
