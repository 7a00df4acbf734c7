"""The engine: one scheduler, the sessions, and what runs steps of them.

All of it lives on the event loop, so nothing needs a lock. Where a step runs on a thread, the next
is already formed and waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable

from service.engine.admission import Admission
from service.engine.cost import Costs
from service.engine.executor import Executor
from service.engine.expected import Rest
from service.engine.guard import PATIENCE, Guard
from service.engine.job import DEFAULT_PRIORITY, Job, Step
from service.engine.observer import Observer
from service.engine.open import Open
from service.engine.policy import Policy
from service.engine.prover import Proof
from service.engine.request import Answer, Request, Task, riders
from service.engine.roster import Roster
from service.engine.runner import Outcome, Result, Runner
from service.engine.scheduler import Scheduler
from service.engine.starts import Starts
from service.engine.turns import Turns
from service.errors import DeadlinePassed, NotServing, StepFailed
from service.pack import Pack
from service.readiness import Readiness

log = logging.getLogger("sumserve.engine")


class Engine:
    """Runs requests through sessions, packed. Make and use it on one event loop."""

    def __init__(
        self,
        scheduler: Scheduler,
        policy: Policy,
        readiness: Readiness | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._policy, self._scheduler, self._clock = policy, scheduler, clock
        self._roster = roster = Roster(policy.brief_seconds)
        self.costs, self.readiness = roster.costs, readiness or Readiness()
        self._admission = Admission(policy, scheduler, roster.costs, roster.brief)
        runner = Runner(roster.sessions, clock)
        self._executor = Executor(runner, roster.brief, roster.costs, self._deliver)
        looked_after = self.readiness, roster.proofs, policy.step_seconds
        self._guard = Guard(runner, self._executor.submit, *looked_after)
        self._turns = Turns(self._dispatch)
        self._open, self._tasks, self._closed = Open(), 0, False  # tasks that are open
        self.observers: list[Observer] = []

    def add(
        self, model: str, session: Starts, proof: Proof | None = None, costs: Costs | None = None
    ) -> None:
        """From now on requests may name this model.

        proof: raises when its golden inputs are answered wrongly; costs: what is learned already.
        """
        self._roster.add(model, session, proof, costs)

    async def remove(self, model: str) -> None:
        """Know a model no more: one that no open request names. Steps that still run of it end."""
        assert not any(request.model == model for request in self._open), model
        self._scheduler.forget(model)
        self._guard.forget(model)
        await self._executor.ended(PATIENCE * self._policy.step_seconds)
        self._forget()
        self._guard.forget(model)  # again: what has just ended may have been doubted
        self._roster.remove(model)

    async def predict(
        self,
        model: str,
        pack: Pack,
        priority: int = DEFAULT_PRIORITY,
        client: str = "",
        timeout: float | None = None,
    ) -> Answer:
        """Queue one request and wait for its answer. Clients share the engine evenly.

        timeout: seconds. Raises QueueFull when there is no room or it would pass its timeout,
        DeadlinePassed when it does, NotServing once the engine is closed, and StepFailed when the
        model fails on this request. Cancelled, it leaves the queue.
        """
        now, timeout = self._clock(), self._policy.timeout if timeout is None else timeout
        about = (model, pack.lengths.tolist(), client, priority, self._roster.passes[model])
        request = Request(*about, deadline=now + timeout, work=pack, submitted=now)
        self.admit(request)
        timer = None
        if not math.isinf(timeout):
            timer = asyncio.get_running_loop().call_later(timeout, request.expire, timeout)
        try:
            return await self._answer(request)
        finally:
            if timer:
                timer.cancel()

    async def advance(
        self,
        model: str,
        tokens: int,
        task: Task,
        priority: int = DEFAULT_PRIORITY,
        client: str = "",
    ) -> Answer:
        """Run a task where steps run when its turn comes, as if it were so many tokens.

        It shares a step with others, so it should not take longer than a short step. Raises as
        `predict` does, and what ServiceError the task raises. Cancelled, it leaves the queue.
        """
        now = self._clock()
        request = Request(model, [tokens], client, priority, whole=True, work=task, submitted=now)
        self._tasks += 1
        try:
            return await self._answer(request)
        finally:
            self._tasks -= 1

    def admit(self, job: Job) -> Rest:
        """Raise QueueFull where a job finds no room, or would not be done by its deadline.

        While somebody is in what is returned, the rest of what comes as tasks waits as well.
        """
        now = self._clock()
        self._admission.check(job, self._open.load(job.client), now, self._executor.busy(now))
        return self._admission.expected.rest(job)

    def connected(self) -> None:
        """Somebody has connected: whoever stands behind them is let in before the next step."""
        self._turns.connected()

    @property
    def requests(self) -> int:
        """How many wait or run."""
        return len(self._open)

    def queued(self) -> dict[str, int]:
        """Tokens that wait, by model."""
        return self._admission.waiting

    def queued_seconds(self) -> float:
        """What is expected to pass until all that waits now is done."""
        return self._admission.seconds(self.queued()) + self._executor.busy(self._clock())

    async def close(self) -> None:
        """Refuse new requests, fail what is in no step, and let steps end, within their time."""
        self._closed = True
        self._guard.close()
        riding = {request for step in self._executor.steps for request in riders(step)}
        error = NotServing("the server shut down before this request was run")
        for request in set(self._open) - riding:
            self._fail(request, error)
        if not self.readiness.stuck:
            await self._executor.ended(PATIENCE * self._policy.step_seconds)
        for request in self._open:
            self._fail(request, error)
        self._executor.close()

    async def _answer(self, request: Request) -> Answer:
        if self._closed:
            raise NotServing("the server is shutting down")
        self._scheduler.add(request)
        if not self._open:
            self._busy(True)
        self._open.add(request)
        try:
            self._turns.soon()
            return await request.future
        except (asyncio.CancelledError, DeadlinePassed):
            for observer in self.observers:
                observer.abandoned(request.model, request.left)
            self._scheduler.remove(request)
            self._forget()
            raise
        finally:
            self._open.remove(request)
            if not self._open:
                self._busy(False)

    def _busy(self, now: bool) -> None:
        for observer in self.observers:
            observer.busy(now)

    def _dispatch(self) -> None:
        self._guard.watch()
        self._executor.run(self._next_step)

    def _next_step(self) -> Step | None:
        return self._scheduler.next_step(self._clock(), self._most, self._roster.brief.tokens)

    def _most(self, model: str, shared: bool) -> float:
        """Few tokens, while a long sequence shares the device with others."""
        if shared or self._tasks:
            return self.costs[model].steps.tokens(self._policy.shared_seconds)
        return math.inf

    def _deliver(self, step: Step, outcome: Callable[[], Outcome]) -> None:
        """Give each part's result to its request, then hand out the next step."""
        try:
            self._settle(step, outcome())
        except Exception as error:  # a mistake of ours: the engine goes on all the same
            log.exception("a step of %s was lost", step.model, exc_info=error)
            for request in riders(step):
                self._fail(request, StepFailed("internal error; the server's log has it"))
        self._guard.ran()
        self._turns.soon()

    def _settle(self, step: Step, outcome: Outcome) -> None:
        if not outcome.failed:
            self.costs[step.model].learn(outcome.tokens, outcome.seconds, outcome.spent)
        self._admission.pace.ran(outcome.started, outcome.seconds, bool(self._scheduler.waiting))
        self._scheduler.budget.learn(outcome.exhausted)
        for observer in self.observers:
            observer.ran(step, outcome)
        for request in riders(step):
            request.rode(outcome.started, outcome.seconds)
        for part, result in zip(step.parts, outcome.results, strict=True):
            self._bring(part.job, part.first, part.last, result)
        if step.chunk and outcome.chunk is not None:
            long = step.chunk.long
            self._scheduler.finish(long)
            self._bring(long.job, long.sequence, long.sequence + 1, outcome.chunk)

    def _bring(self, job: object, first: int, last: int, result: Result) -> None:
        assert isinstance(job, Request)
        if isinstance(result, Exception):
            self._fail(job, result)
            if isinstance(result, StepFailed):
                self._guard.doubt(job.model)
        else:
            job.settle(first, last, result)

    def _fail(self, request: Request, error: Exception) -> None:
        self._scheduler.remove(request)
        request.fail(error)
        self._forget()

    def _forget(self) -> None:
        """What was started of requests that nobody awaits is let go, in its turn."""
        if not self._closed:
            self._executor.forget()
