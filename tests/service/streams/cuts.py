"""One sequence, in pieces."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from service.manifest import IdsColumn, Manifest, NumericColumn, TimeColumn, VectorColumn
from service.pack import Array, Pack


def draw(manifest: Manifest, length: int, seed: int = 0) -> Pack:
    """A sequence of so many tokens, with whatever else the model reads."""
    rng = np.random.default_rng(seed)
    columns = {own.name: _values(own, length, rng) for own in manifest.columns}
    context = {own.name: _values(own, 1, rng) for own in manifest.context}
    return Pack(columns, np.array([length]), context)


def _values(own: Any, rows: int, rng: np.random.Generator) -> Array:
    if isinstance(own, IdsColumn):
        return rng.integers(own.low, own.high + 1, rows)
    if isinstance(own, VectorColumn):
        return rng.normal(size=(rows, own.width)).astype(np.float32)
    if isinstance(own, TimeColumn):
        return 1e6 + rng.exponential(size=rows).cumsum()
    assert isinstance(own, NumericColumn)
    return rng.normal(size=rows).astype(np.float32) + 3


def cuts(length: int, sizes: Sequence[int]) -> Iterator[slice]:
    """Slices of these sizes, again and again, until there is no more."""
    start = 0
    while start < length:
        for size in sizes:
            yield slice(start, min(start + size, length))
            start = min(start + size, length)
            if start == length:
                return


def lines(pack: Pack, sizes: Sequence[int]) -> list[bytes]:
    """Pieces of these sizes as lines of JSON."""
    context = {name: values[0].tolist() for name, values in pack.context.items()}
    found = []
    for part in cuts(pack.tokens, sizes):
        columns = {name: values[part].tolist() for name, values in pack.columns.items()}
        plain = len(columns) == 1 and not context
        piece = next(iter(columns.values())) if plain else {**columns, **context}
        found.append(json.dumps(piece).encode() + b"\n")
    return found
