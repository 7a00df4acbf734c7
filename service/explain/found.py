"""What is found of a request's sequences, whichever way, and what every token changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from service.classes import softmax
from service.errors import BadRequest
from service.manifest import Output
from service.pack import Array


@dataclass(frozen=True, slots=True)
class Found:
    """outputs: name -> (N, width); without: name -> (T, width), of each token's sequence without
    it. queue_ms: until the first of it was run; compute_ms: of all of it.
    """

    outputs: Mapping[str, Array]
    without: Mapping[str, Array]
    queue_ms: float
    compute_ms: float


@dataclass(frozen=True, slots=True)
class Changes:
    """What is answered of N sequences (N,) with T tokens: name -> (T, width) each.

    changes: an output less what it is without the token; probability_changes: the same of the
    probabilities of those outputs whose classes have names.
    """

    changes: dict[str, Array]
    probability_changes: dict[str, Array]

    @classmethod
    def of(cls, found: Found, outputs: tuple[Output, ...], lengths: Array) -> Changes:
        """BadRequest naming what is not finite, outputs or changes."""
        check_finite(found, outputs, lengths)
        owner = np.repeat(np.arange(len(lengths)), lengths)

        def changed(output: Output, of: Callable[[Array], Array]) -> Array:
            whole, without = found.outputs[output.name], found.without[output.name]
            change = of(whole.astype(np.float64))[owner] - of(without.astype(np.float64))
            with np.errstate(over="ignore"):  # it is looked at
                return change.astype(np.float32)

        changes = cls(
            {output.name: changed(output, np.asarray) for output in outputs},
            {output.name: changed(output, softmax) for output in outputs if output.labels},
        )
        changes.check_finite(lengths)
        return changes

    def check_finite(self, lengths: Array) -> None:
        """BadRequest naming the output, its sequence and the token. Both outputs may be finite and
        their difference not, as it is twice as large as they may be.
        """
        for name, rows in self.changes.items():
            if (token := _first(rows)) is not None:
                i, place = _place(token, lengths)
                what = f"output {name!r} changes by more than a 32-bit float can hold"
                raise BadRequest(f"sequence {i}: without token {place} {what}")


def check_finite(found: Found, outputs: tuple[Output, ...], lengths: Array) -> None:
    """BadRequest naming the output that is not, its sequence, and the token that was left out."""
    for output in outputs:
        what = f"output {output.name!r} is not finite"
        i = _first(found.outputs[output.name])
        if i is not None:
            raise BadRequest(f"sequence {i}: {what} for this input")
        token = _first(found.without[output.name])
        if token is not None:
            i, place = _place(token, lengths)
            raise BadRequest(f"sequence {i}: without token {place} {what}")


def _place(token: int, lengths: Array) -> tuple[int, int]:
    """The sequence that a token of a pack is of, and its place there."""
    ends = np.cumsum(lengths)
    i = int(np.searchsorted(ends, token, side="right"))
    return i, token - int(ends[i] - lengths[i])


def _first(rows: Array) -> int | None:
    """The first row that is not finite."""
    finite = np.isfinite(rows)
    return None if finite.all() else int(finite.all(axis=1).argmin())
