"""Summaries outside the graphs: what blocks contribute, folded per sequence.

Sums are left folds over a sequence's blocks in float64 (integers stay integers), maxima are exact,
and sums under a running maximum are brought to one maximum by powers of two, which is exact too. So
a summary does not depend on how a sequence is cut into parts, as long as cuts are between blocks.
"""

from __future__ import annotations

import numpy as np

from service.manifest import Summary
from service.pack import Array

FEW = 8  # sequences that are added up one by one


class Fold:
    """The running summary of N sequences; parts of it may be added at any time, in order."""

    def __init__(self, spec: Summary, sequences: int) -> None:
        self._spec = spec
        self._state = {
            name: np.full((sequences, *field.shape), *_nothing(spec, name, field.dtype))
            for name, field in spec.fields.items()
        }

    def add(self, parts: dict[str, Array], owner: Array) -> None:
        """Contributions (B, ...) of blocks in order; owner (B,): their sequences, ascending."""
        if not len(owner):
            return
        first = np.flatnonzero(np.diff(owner, prepend=-1))
        if self._spec.merge == "softmax":
            parts = self._level(parts, owner, first)
        for name, rows in parts.items():
            if self._spec.merge == "max" or name == "top":
                top = np.maximum.reduceat(rows, first, axis=0)
                self._state[name][owner[first]] = np.maximum(self._state[name][owner[first]], top)
            else:
                _add(self._state[name], rows, owner, first)

    def _level(self, parts: dict[str, Array], owner: Array, first: Array) -> dict[str, Array]:
        """Bring the state and what is added to it to one ``top``: the larger of the two."""
        found, own = owner[first], self._state
        top = np.maximum(own["top"][found], np.maximum.reduceat(parts["top"], first, axis=0))
        own["weighted"][found] = _scaled(own["weighted"][found], own["top"][found], top)
        every = top[np.repeat(np.arange(len(first)), np.diff(first, append=len(owner)))]
        return parts | {"weighted": _scaled(parts["weighted"], parts["top"], every)}

    @property
    def state(self) -> dict[str, Array]:
        """What there is so far, (N, ...) each, to be kept and read again: nothing is rounded."""
        return {name: values.copy() for name, values in self._state.items()}

    @classmethod
    def of(cls, spec: Summary, state: dict[str, Array]) -> Fold:
        """Go on from a state that was kept."""
        made = cls(spec, len(next(iter(state.values()))))
        for name, values in made._state.items():
            values[...] = state[name]
        return made

    def merge(self, later: Fold) -> None:
        """Add the summary of the parts that come after these, made elsewhere.

        Maxima and whole numbers come out exactly; sums to float64's rounding, as they are added as
        sums and not block by block.
        """
        state = later.state
        self.add(state, np.arange(len(next(iter(state.values())))))

    def rows(self) -> dict[str, Array]:
        """The summaries as graphs read them, (N, ...) each."""
        with np.errstate(over="ignore"):  # an answer that is not finite is the wire's matter
            fields = self._spec.fields
            return {name: self._state[name].astype(fields[name].dtype) for name in fields}


def _nothing(spec: Summary, name: str, dtype: str) -> tuple[float, str]:
    """The summary of no token, and the type sums are kept in."""
    if spec.merge == "max" or name == "top":
        return -np.inf, dtype
    return 0, "int64" if dtype == "int64" else "float64"


def _scaled(weighted: Array, top: Array, to: Array) -> Array:
    """Sums under one maximum as if it had been another; of no token there is none."""
    some, power = np.isfinite(top), np.zeros(top.shape, np.int32)
    power[some] = np.ceil(top[some]) - np.ceil(to[some])
    return np.asarray(np.ldexp(weighted.astype(np.float64), power[..., None]))


def _add(total: Array, rows: Array, owner: Array, first: Array) -> None:
    """Add blocks (B, ...) to their sequences' totals (N, ...), strictly from left to right.

    The first blocks of all sequences side by side, then the second ones, until few have more.
    """
    sizes, done = np.diff(first, append=len(owner)), 0
    while len(first) > FEW:
        total[owner[first]] += rows[first + done]
        done += 1
        first, sizes = first[sizes > done], sizes[sizes > done]
    for begin, size in zip(first, sizes, strict=True):
        mine = owner[begin]
        total[mine] = _left_sum(total[mine], rows[begin + done : begin + size])


def _left_sum(start: Array, rows: Array) -> Array:
    """start + rows[0] + rows[1] + ..., in this order.

    numpy's add.reduce over the first axis goes row by row when rows hold more than one number; with
    only one, as in add.reduceat, it sums pairwise, and a sum would depend on where it was cut.
    """
    flat = np.concatenate([start[None].astype(start.dtype), rows]).reshape(len(rows) + 1, -1)
    if flat.shape[1] == 1:
        flat = np.repeat(flat, 2, axis=1)
    return np.asarray(np.add.reduce(flat, axis=0)[: start.size].reshape(start.shape))
