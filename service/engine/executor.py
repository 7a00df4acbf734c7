"""Where steps are run: brief ones on the event loop itself, the others on the one runner thread.

On a CPU a thread of its own gains a brief step nothing. It needs the same cores, and every word
between the two threads waits for the interpreter's lock (benchmarks/README.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from service.engine.brief import Brief
from service.engine.cost import Costs
from service.engine.job import Step
from service.engine.runner import Outcome, Runner

AHEAD = 2  # steps handed over: the one that runs and the one that waits

Deliver = Callable[[Step, Callable[[], Outcome]], None]


class Executor:
    """Runs one thing after the other. Lives on the event loop, and never waits for its thread."""

    def __init__(
        self, runner: Runner, brief: Brief, costs: Mapping[str, Costs], deliver: Deliver
    ) -> None:
        """deliver: is given every step and what calls for its outcome."""
        self._runner, self._brief, self._costs = runner, brief, costs
        self._deliver = deliver
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="runner")
        self._submitted: set[Future[Any]] = set()  # that have not come back
        self._came_back = asyncio.Event()  # one of them has
        self._running: dict[asyncio.Future[Outcome], Step] = {}
        self._free = 0.0  # when the step that runs began

    @property
    def steps(self) -> Iterable[Step]:
        """That were handed to the thread and have not come back; the first of them runs."""
        return self._running.values()

    def run(self, next_step: Callable[[], Step | None]) -> None:
        """Run the next step, or hand over as many as may wait."""
        while len(self._running) < AHEAD and (step := next_step()):
            if not self._submitted and self._brief.holds(step):
                self._deliver(step, partial(self._runner.run, step))
                return  # whoever else has something to do on the loop does it first
            self._hand_over(step)

    def submit(self, function: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Call it on the thread, in its turn; until then no step runs on the loop."""
        loop, future = asyncio.get_running_loop(), self._thread.submit(function, *args)
        self._submitted.add(future)
        awaited = asyncio.wrap_future(future)
        # By what the thread does: whoever waits may have been cancelled before it is over. And told
        # after them, or the engine would close between "it has come back" and what came of it.
        future.add_done_callback(partial(self._returned, loop))
        return awaited

    def busy(self, now: float) -> float:
        """Seconds until the steps that were handed over are done, as expected."""
        if not self._running:
            return 0.0
        expected = sum(self._costs[step.model].steps.seconds(step.tokens) for step in self.steps)
        return max(0.0, expected - (now - self._free))

    def forget(self) -> None:
        """What was started of requests that nobody awaits is let go, in its turn."""
        if self._submitted:
            self.submit(self._runner.forget)
        else:
            self._runner.forget()

    async def ended(self, seconds: float) -> None:
        """Wait for whatever the thread has been given so far, but no longer than that."""
        given = set(self._submitted)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while given & self._submitted:
                    self._came_back.clear()
                    await self._came_back.wait()
        await asyncio.sleep(0)  # what came of the last of it is told in this turn of the loop

    def close(self) -> None:
        """Take nothing more."""
        self._thread.shutdown(wait=False)

    def _hand_over(self, step: Step) -> None:
        self._free = self._free if self._running else self._runner.clock()
        future = self.submit(self._runner.run, step)
        self._running[future] = step
        future.add_done_callback(partial(self._back, step))

    def _returned(self, loop: asyncio.AbstractEventLoop, future: Future[Any]) -> None:
        """In the thread."""

        def told() -> None:
            self._submitted.discard(future)
            self._came_back.set()

        if not loop.is_closed():
            loop.call_soon_threadsafe(told)

    def _back(self, step: Step, future: asyncio.Future[Outcome]) -> None:
        """From the thread."""
        del self._running[future]
        self._free = self._runner.clock()
        self._deliver(step, future.result)
