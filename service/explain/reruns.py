"""Explains with any model: every sequence is run without each of its tokens, as one request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from service.engine.engine import Engine
from service.engine.job import DEFAULT_PRIORITY, Job
from service.errors import BadRequest
from service.explain.found import Found
from service.manifest import Output
from service.pack import Array, Pack


@dataclass(frozen=True, slots=True)
class Reruns:
    """Of one request."""

    engine: Engine
    model: str
    outputs: tuple[Output, ...]
    pack: Pack  # the sequences themselves

    @property
    def run_tokens(self) -> int:
        """Of all sequences, whole and without each token; an empty one takes a place."""
        n = self.pack.lengths
        return int((np.maximum(n, 1) + n * np.maximum(n - 1, 1)).sum())

    @property
    def bytes(self) -> int:
        """What is held until it is answered, besides the input."""
        per_token = sum(rows.itemsize * rows[:1].size for rows in self.pack.columns.values())
        per_sequence = sum(rows.itemsize * rows[:1].size for rows in self.pack.context.values())
        tokens = int((self.pack.lengths * self.pack.lengths).sum())
        return tokens * per_token + (self.pack.tokens + 1) * per_sequence

    def check_bytes(self, most: int) -> None:
        """BadRequest where all of it would be larger than a body may be."""
        if self.bytes > most:
            raise BadRequest(
                f"the sequences without each of their tokens are {self.bytes} bytes, the limit is "
                f"{most} per request"
            )

    async def run(
        self,
        client: str,
        timeout: float,
        priority: int = DEFAULT_PRIORITY,
        admitted: Callable[[], None] = lambda: None,
    ) -> Found:
        """Raises what `Engine.predict` and ``admitted`` do, which is called once it is let in."""
        deadline = time.perf_counter() + timeout
        job = Job(self.model, [self.run_tokens], client, priority, deadline=deadline)
        self.engine.admit(job)  # before anything is made of it; `predict` asks again
        admitted()
        every = await asyncio.to_thread(without_each, self.pack)
        answer = await self.engine.predict(self.model, every, priority, client, timeout)
        lengths = self.pack.lengths
        whole = np.zeros(len(every.lengths), bool)
        whole[np.cumsum(lengths + 1) - lengths - 1] = True
        rows = {output.name: answer.outputs[output.name] for output in self.outputs}
        return Found(
            {name: found[whole] for name, found in rows.items()},
            {name: found[~whole] for name, found in rows.items()},
            answer.queue_ms,
            answer.compute_ms,
        )


def without_each(pack: Pack) -> Pack:
    """Every sequence of n tokens, followed by itself without the first, the second, ... token."""
    lengths = pack.lengths.tolist()
    chosen = [np.arange(0)]
    for start, length in zip(pack.starts.tolist(), lengths, strict=True):
        chosen += [np.arange(start, start + length), start + omitting(length)]
    tokens = np.concatenate(chosen)
    sizes = [size for n in lengths for size in (n, *[n - 1] * n)]
    return Pack(
        {name: rows[tokens] for name, rows in pack.columns.items()},
        np.array(sizes, np.int64),
        {name: np.repeat(rows, pack.lengths + 1, axis=0) for name, rows in pack.context.items()},
    )


def omitting(length: int) -> Array:
    """(n (n - 1),): 0 .. n - 1 without 0, then without 1, and so on."""
    places, left_out = np.arange(max(0, length - 1)), np.arange(length)[:, None]
    return np.asarray((places + (places >= left_out)).ravel())
