"""Looks after the device: what takes too long is stopped, what has failed is put to the proof."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from service.engine.job import Step
from service.engine.prover import Proof, Prover
from service.engine.runner import Runner
from service.engine.watch import Watch
from service.readiness import Readiness

PATIENCE = 2  # times that work may be too long before its thread is given up

log = logging.getLogger("sumserve.engine")


class Guard:
    """Of one runner and its thread. Says in ``readiness`` what is to be known outside."""

    def __init__(
        self,
        runner: Runner,
        thread: ThreadPoolExecutor,
        readiness: Readiness,
        proofs: Mapping[str, Proof],
        seconds: float,
        leave: Callable[[int], object] = os._exit,
    ) -> None:
        """seconds: that a step or a proof may take; leave: ends the process, with a code."""
        self._runner, self._thread, self._readiness = runner, thread, readiness
        self._seconds, self._leave = seconds, leave
        self._loop: asyncio.AbstractEventLoop | None = None  # as soon as it runs
        self._on_loop = False  # whether the step that runs does
        self.proving = 0  # proofs that run or wait
        self._watch = Watch(seconds, lambda step, times: self._late(step.model, step, times))
        self._prover = Prover(proofs, readiness, self._prove)

    def follow(self, step: Step | None, on_loop: bool = False) -> None:
        """This one runs now, or none."""
        self._loop, self._on_loop = asyncio.get_running_loop(), on_loop
        self._watch.follow(step)

    def ran(self) -> None:
        """A step has come back."""
        self._readiness.stuck = ""

    def doubt(self, model: str) -> None:
        """It has failed on some input."""
        self._prover.doubt(model)

    def close(self) -> None:
        """Try no more."""
        self._prover.close()
        self._watch.close()

    def _late(self, model: str, work: Step | Proof, times: int) -> None:
        """What runs takes too long: stop it; if it does not stop, the process is of no use."""
        if not self._runner.stop(work) or not self._loop:
            return  # it waits for others
        why = f"a run took longer than {self._seconds:g} seconds"
        log.error("%s: %s", model, why)
        self._loop.call_soon_threadsafe(self._prover.doubt, model, why)
        if times >= PATIENCE:
            self._readiness.stuck = f"{model}: {why} and cannot be stopped"
            if self._on_loop:
                log.critical("%s: nobody is answered any more: leaving", self._readiness.stuck)
                self._leave(1)

    async def _prove(self, model: str, proof: Proof) -> object:
        self._loop, times = asyncio.get_running_loop(), 0
        proving = self._loop.run_in_executor(self._thread, self._runner.prove, model, proof)
        self.proving += 1
        try:
            while not (await asyncio.wait([proving], timeout=self._seconds))[0]:
                times += 1
                self._late(model, proof, times)
        finally:
            self.proving -= 1
        self.ran()
        return proving.result()
