"""Runs a model's golden inputs again when it has failed: was it the input, or is it the model?"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from service.readiness import Readiness

SECONDS = 1.0  # between one try and the next

Proof = Callable[[], object]  # raises what is wrong
log = logging.getLogger("sumserve.engine")


class Prover:
    """Until a model's proof passes, the server is not ready."""

    def __init__(
        self,
        proofs: Mapping[str, Proof],
        readiness: Readiness,
        run: Callable[[str, Proof], Awaitable[object]],
        seconds: float = SECONDS,
    ) -> None:
        """run: runs a model's proof where its steps run."""
        self._proofs, self._readiness, self._run, self._seconds = proofs, readiness, run, seconds
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def doubt(self, model: str, why: str = "") -> None:
        """A model has failed. why: it is not ready; without, only if its proof fails too."""
        if model not in self._proofs:
            return
        if why:
            self._readiness.failing[model] = why
        if model not in self._tasks:
            self._tasks[model] = asyncio.ensure_future(self._prove(model))

    def forget(self, model: str) -> None:
        """It is there no more."""
        if task := self._tasks.pop(model, None):
            task.cancel()
        self._readiness.failing.pop(model, None)

    def close(self) -> None:
        """Try no more."""
        for task in self._tasks.values():
            task.cancel()

    async def _prove(self, model: str) -> None:
        """Until it passes, and nobody has doubted the model since: seldom, as whoever sends what
        fails shall not keep the device busy.
        """
        while True:
            await self._passes(model)
            await asyncio.sleep(self._seconds)
            if model not in self._readiness.failing:
                break
        self._tasks.pop(model, None)

    async def _passes(self, model: str) -> None:
        try:
            await self._run(model, self._proofs[model])
        except Exception as error:
            log.error("%s is not ready: its golden inputs: %s", model, error)
            self._readiness.failing[model] = "its golden inputs are not answered as they should be"
        else:
            self._ready(model)

    def _ready(self, model: str) -> None:
        if self._readiness.failing.pop(model, None):
            log.info("%s is ready again: its golden inputs are answered as they should be", model)
