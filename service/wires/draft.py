"""What a wire finds in a request, before anyone knows whether it fits a model."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from service.manifest import Column, ContextColumn
from service.pack import Array


@dataclass(frozen=True, slots=True)
class Values:
    """A column's values, end to end: R tokens, or R sequences of a context column.

    data: (R,) numbers or, as objects, words; or all the numbers of R vectors, one after the other.
    widths: None for no vectors; (R,) how many numbers each has.
    missing: (R,) which are null, if any is; of a vector that has a null in it, its number is NaN.
    """

    data: Array
    widths: Array | None = None
    missing: Array | None = None


class Draft(Protocol):
    """A request's sequences as a wire reads them, when it is asked for them.

    Lengths are asked for first, so that nothing is read of a request that is too long.
    """

    @property
    def names(self) -> Collection[str]:
        """Of all columns given, those of context too."""

    def lengths(self, name: str) -> Array:
        """(N,) int64: how many tokens each sequence has in a column."""

    def tokens(self, column: Column) -> Values:
        """A column's values of all sequences."""

    def context(self, column: ContextColumn) -> Values:
        """A context column's values, one per sequence."""


def place(name: str, *index: int) -> str:
    """Where something is: column, sequence, token, number; each counted from 0."""
    return name + "".join(f"[{i}]" for i in index)
