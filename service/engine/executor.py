"""Where steps are run: brief ones on the event loop itself, the others on the one runner thread.

On a CPU a thread of its own gains a brief step nothing. It needs the same cores, and every word
between the two threads waits for the interpreter's lock (benchmarks/README.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from service.engine.cost import Cost
from service.engine.guard import Guard
from service.engine.job import Step
from service.engine.runner import Outcome, Runner

AHEAD = 2  # steps handed over: the one that runs and the one that waits
SLACK = 2  # times as long as brief: what is still run on the loop

Deliver = Callable[[Step, Callable[[], Outcome]], None]


class Executor:
    """Runs one step after the other. Lives on the event loop."""

    def __init__(
        self,
        runner: Runner,
        thread: ThreadPoolExecutor,
        guard: Guard,
        costs: Mapping[str, Cost],
        brief_seconds: float,
        deliver: Deliver,
    ) -> None:
        """brief_seconds: 0, where no step shall run on the loop; deliver: is given every step and
        what calls for its outcome.
        """
        self._runner, self._thread, self._guard = runner, thread, guard
        self._costs, self._brief_seconds, self._deliver = costs, brief_seconds, deliver
        self._running: dict[asyncio.Future[Outcome], Step] = {}
        self._free = 0.0  # when the step that runs began

    @property
    def steps(self) -> Iterable[Step]:
        """That were handed to the thread and have not come back; the first of them runs."""
        return self._running.values()

    def run(self, next_step: Callable[[], Step | None]) -> None:
        """Run the next step, or hand over as many as may wait."""
        while len(self._running) < AHEAD and (step := next_step()):
            if self._brief(step):
                self._here(step)
                return  # whoever else has something to do on the loop does it first
            self._there(step)

    def busy(self, now: float) -> float:
        """Seconds until what was handed over is done, as expected."""
        if not self._running:
            return 0.0
        expected = sum(self._costs[step.model].seconds(step.tokens) for step in self.steps)
        return max(0.0, expected - (now - self._free))

    def forget(self) -> None:
        """What was started of requests that nobody awaits is let go, in its turn."""
        if self._running:
            self._thread.submit(self._runner.forget)
        else:
            self._runner.forget()

    async def ended(self, seconds: float) -> None:
        """Wait for what runs, but no longer than that."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)

    def _brief(self, step: Step) -> bool:
        """Whether the loop may wait for it."""
        if not self._brief_seconds or self._running or self._guard.proving:
            return False
        expected = self._costs[step.model].seconds(step.tokens)
        return expected <= SLACK * self._brief_seconds

    def _here(self, step: Step) -> None:
        self._guard.follow(step, on_loop=True)
        self._deliver(step, partial(self._runner.run, step))
        self._guard.follow(None)

    def _there(self, step: Step) -> None:
        loop = asyncio.get_running_loop()
        self._free = self._free if self._running else self._runner.clock()
        future = loop.run_in_executor(self._thread, self._runner.run, step)
        self._running[future] = step
        future.add_done_callback(partial(self._back, step))
        self._guard.follow(next(iter(self.steps)))

    def _back(self, step: Step, future: asyncio.Future[Outcome]) -> None:
        """From the thread."""
        del self._running[future]
        self._free = self._runner.clock()
        self._guard.follow(next(iter(self.steps), None))
        self._deliver(step, future.result)
