"""Looks after the device: what takes too long is stopped, what has failed is put to the proof."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
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
    ) -> None:
        """seconds: that a step or a proof may take."""
        self._runner, self._thread, self._readiness = runner, thread, readiness
        self._seconds = seconds
        self._watch = Watch(seconds, lambda step, times: self._late(step.model, step, times))
        self._prover = Prover(proofs, readiness, self._prove)

    def follow(self, step: Step | None) -> None:
        """This one runs now, or none."""
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

    def _late(self, model: str, work: Step | Proof, times: int) -> None:
        """What runs takes too long: stop it; if it does not stop, the process is of no use."""
        if not self._runner.stop(work):
            return  # it waits for others
        why = f"a run took longer than {self._seconds:g} seconds"
        log.error("%s: %s", model, why)
        self._prover.doubt(model, why)
        if times >= PATIENCE:
            self._readiness.stuck = f"{model}: {why} and cannot be stopped"

    async def _prove(self, model: str, proof: Proof) -> object:
        loop, times = asyncio.get_running_loop(), 0
        proving = loop.run_in_executor(self._thread, self._runner.prove, model, proof)
        while not (await asyncio.wait([proving], timeout=self._seconds))[0]:
            times += 1
            self._late(model, proof, times)
        self.ran()
        return proving.result()
