"""Looks after the device: what takes too long is stopped, what has failed is put to the proof."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Mapping

from service.engine.prover import Proof, Prover
from service.engine.runner import Runner, Running
from service.engine.watch import Watch
from service.readiness import Readiness

PATIENCE = 2  # times that work may be too long before whoever runs it is given up

log = logging.getLogger("sumserve.engine")


class Guard:
    """Of one runner, made on the loop's thread. ``readiness`` says what is to be known outside."""

    def __init__(
        self,
        runner: Runner,
        submit: Callable[..., Awaitable[object]],
        readiness: Readiness,
        proofs: Mapping[str, Proof],
        seconds: float,
        leave: Callable[[int], object] = os._exit,
    ) -> None:
        """submit: calls something where nothing else runs; seconds: that a step or a proof may
        take; leave: ends the process, with a code.
        """
        self._runner, self._submit, self._readiness = runner, submit, readiness
        self._seconds, self._leave = seconds, leave
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.get_ident()
        self._watch: Watch | None = None
        self._prover = Prover(proofs, readiness, self._prove)

    def watch(self) -> None:
        """From now on: there is something to be run."""
        if self._watch is None:
            self._loop = asyncio.get_running_loop()
            self._watch = Watch(self._seconds, lambda: self._runner.running, self._late)

    def ran(self) -> None:
        """A step has come back."""
        self._readiness.stuck = ""

    def doubt(self, model: str) -> None:
        """It has failed on some input."""
        self._prover.doubt(model)

    def forget(self, model: str) -> None:
        """It is there no more."""
        self._prover.forget(model)

    def close(self) -> None:
        """Try no more."""
        self._prover.close()
        if self._watch:
            self._watch.close()

    def _late(self, running: Running, times: int) -> None:
        """In the watch's thread: stop it; if it does not stop, the process is of no use."""
        if not self._runner.stop(running):
            return  # it has just come to its end
        assert self._loop
        why = f"a run took longer than {self._seconds:g} seconds"
        log.error("%s: %s", running.model, why)
        self._loop.call_soon_threadsafe(self._prover.doubt, running.model, why)
        if times >= PATIENCE:
            self._readiness.stuck = f"{running.model}: {why} and cannot be stopped"
            if running.thread == self._thread:
                log.critical("%s: nobody is answered any more: leaving", self._readiness.stuck)
                self._leave(1)

    async def _prove(self, model: str, proof: Proof) -> object:
        self.watch()
        try:
            return await self._submit(self._runner.prove, model, proof)
        finally:
            self.ran()
