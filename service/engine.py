"""The engine: one scheduler, the sessions, and the one runner thread of the device.

All of it but `_run` lives on the event loop, so nothing needs a lock. One step runs while the
next is already formed and waits for the runner.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np

from service.errors import NotServing, StepFailed
from service.manifest import Manifest
from service.pack import Array, Pack
from service.scheduler import DEFAULT_PRIORITY, Job, Part, Scheduler, Step

AHEAD = 2  # steps handed to the runner: the one that runs and the one that waits

Outputs = dict[str, Array]  # output name -> (T, width) or (N, width)

log = logging.getLogger("sumserve.engine")


class Runs(Protocol):
    """What the engine needs of a session."""

    manifest: Manifest

    def run(self, pack: Pack) -> dict[str, Array]:
        """Outputs of a pack, by name."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One request's outputs, in order of its sequences, and where its time went."""

    outputs: Outputs
    queue_ms: float
    compute_ms: float


@dataclass(eq=False, slots=True)
class Request(Job):
    """A job with its tokens, and the future that its client awaits."""

    pack: Pack = field(kw_only=True)
    submitted: float = 0.0
    started: float | None = None
    computed: float = 0.0
    done: list[Outputs] = field(default_factory=list)
    missing: int = 0
    future: asyncio.Future[Answer] = field(default_factory=asyncio.Future)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A step's outputs per part, or the error of that part; and its time."""

    results: list[Outputs | Exception]
    started: float
    seconds: float


class Engine:
    """Runs requests through sessions, packed. Make and use it on one event loop."""

    def __init__(
        self,
        sessions: Mapping[str, Runs],
        scheduler: Scheduler,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._sessions, self._scheduler, self._clock = sessions, scheduler, clock
        self._runner = ThreadPoolExecutor(1, thread_name_prefix="runner")
        self._running: set[asyncio.Future[Outcome]] = set()
        self._open: set[Request] = set()
        self._closed = False
        self.ran: Callable[[str, int, float], None] = _nothing  # model, sequences, seconds

    async def predict(self, model: str, pack: Pack, priority: int = DEFAULT_PRIORITY) -> Answer:
        """Queue one request and wait for its answer.

        Raises QueueFull, NotServing once the engine is closed, and StepFailed when the model
        fails on this request. Cancelled, it leaves the queue.
        """
        if self._closed:
            raise NotServing("the server is shutting down")
        lengths = pack.lengths.tolist()
        request = Request(model, lengths, priority, pack=pack, missing=len(lengths))
        request.submitted = self._clock()
        self._scheduler.add(request)
        self._open.add(request)
        self._dispatch()
        try:
            return await request.future
        except asyncio.CancelledError:
            self._scheduler.remove(request)
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
        self._runner.shutdown()

    def _dispatch(self) -> None:
        """Hand steps to the runner until enough are with it."""
        while len(self._running) < AHEAD and (step := self._scheduler.next_step()):
            loop = asyncio.get_running_loop()
            future = loop.run_in_executor(self._runner, self._run, step)
            self._running.add(future)
            future.add_done_callback(partial(self._deliver, step))

    def _run(self, step: Step) -> Outcome:
        """In the runner thread: run a step; when it fails, run its parts one by one."""
        started = self._clock()
        try:
            results = self._run_parts(step.model, step.parts)
        except Exception as error:  # whatever the runtime raises, only the culprit may suffer
            log.warning("step of %s failed, running its parts alone: %s", step.model, error)
            results = [self._run_alone(step.model, part) for part in step.parts]
        return Outcome(results, started, self._clock() - started)

    def _run_alone(self, model: str, part: Part) -> Outputs | Exception:
        try:
            return self._run_parts(model, (part,))[0]
        except Exception as error:
            log.error("a request of %s failed", model, exc_info=error)
            return error

    def _run_parts(self, model: str, parts: Sequence[Part]) -> list[Outputs | Exception]:
        session = self._sessions[model]
        packs = [_request(part).pack.part(part.first, part.last) for part in parts]
        found = session.run(Pack.join(packs))
        ends = {
            "token": np.cumsum([pack.tokens for pack in packs])[:-1],
            "sequence": np.cumsum([len(pack.lengths) for pack in packs])[:-1],
        }
        outputs = session.manifest.outputs
        rows = {o.name: np.split(found[o.name], ends[o.per]) for o in outputs}
        return [{name: own[i] for name, own in rows.items()} for i in range(len(parts))]

    def _deliver(self, step: Step, future: asyncio.Future[Outcome]) -> None:
        """On the loop: give each part's result to its request, then hand out the next step."""
        self._running.discard(future)
        outcome = future.result()
        self.ran(step.model, sum(p.last - p.first for p in step.parts), outcome.seconds)
        for part, result in zip(step.parts, outcome.results, strict=True):
            self._settle(_request(part), part, result, outcome)
        self._dispatch()

    def _settle(
        self, request: Request, part: Part, result: Outputs | Exception, of: Outcome
    ) -> None:
        if isinstance(result, Exception):
            self._scheduler.remove(request)
            _fail(request, StepFailed("the model failed on this input"))
            return
        request.started = of.started if request.started is None else request.started
        request.computed += of.seconds
        request.done.append(result)
        request.missing -= part.last - part.first
        if request.missing == 0 and not request.future.done():
            request.future.set_result(_answer(request))


def _nothing(model: str, sequences: int, seconds: float) -> None:
    """Nobody counts the steps."""


def _request(part: Part) -> Request:
    assert isinstance(part.job, Request)
    return part.job


def _fail(request: Request, error: Exception) -> None:
    if not request.future.done():
        request.future.set_exception(error)


def _answer(request: Request) -> Answer:
    """Parts come back in order: a request's next part is formed after its last one."""
    assert request.started is not None
    first, *others = request.done
    outputs = first
    if others:
        outputs = {name: np.concatenate([d[name] for d in request.done]) for name in first}
    queued = request.started - request.submitted
    return Answer(outputs, queued * 1e3, request.computed * 1e3)
