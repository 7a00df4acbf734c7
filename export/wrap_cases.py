"""What a wrapped model is verified on: lengths around every edge of padding, and random values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.cases import Case
from service.manifest import Column, ContextColumn, IdsColumn, Manifest, VectorColumn
from service.pack import Array, Pack
from service.padded import PLACES
from service.verification import allowed


def cases(manifest: Manifest, places: int) -> list[Case]:
    """Lengths around every edge of padding, batches of every kind, and lengths two to a decade.

    places: of the shortest sequence, once it is padded.
    """
    longest, rng = manifest.max_length or 1, np.random.default_rng(7)
    mixed = np.exp(rng.normal(np.log(60), 1.2, 60)).astype(int).tolist()
    edges = [n + d for n in (16, 32, 64, 128, 144, 256, 512) for d in (-1, 0, 1)]
    found = [
        Case("the longest", [longest], repetitions=20),
        Case("every length to 40", list(range(1, 41))),
        Case("edges of padding", [n for n in edges if n <= longest] or [longest]),
        Case("many of one token", [1] * 64),
        Case("more than one call", [1, 5, 16] * (PLACES // places // 3 + 10)),
        Case("mixed", mixed, repetitions=3),
    ]
    if manifest.min_length == 0:
        found.append(Case("empty among others", [0, 5, 0, 0, 100, 1, 0]))
    steps = {min(round(10 ** (i / 2)), longest) for i in range(12)}
    found += [Case(f"one of {n:,}", [n]) for n in sorted(steps)]
    return [Case(c.name, allowed(manifest, c.lengths), c.repetitions) for c in found]


def draw(
    columns: Sequence[Column],
    context: Sequence[ContextColumn],
    lengths: Sequence[int],
    rng: np.random.Generator,
) -> Pack:
    """Random sequences of these lengths: normal numbers, ids from all of their range."""
    return Pack(
        {own.name: _values(own, sum(lengths), rng) for own in columns},
        np.array(lengths, np.int64),
        {own.name: _values(own, len(lengths), rng) for own in context},
    )


def _values(own: Column | ContextColumn, rows: int, rng: np.random.Generator) -> Array:
    if isinstance(own, IdsColumn):
        return rng.integers(own.low, own.high, rows, endpoint=True)
    shape = (rows, own.width) if isinstance(own, VectorColumn) else (rows,)
    return rng.normal(size=shape).astype(np.float32)
