"""What the wires of a stream have in common: a body that comes in parts, read unit by unit.

A unit is what holds whole pieces of the sequence, each in the form that a prediction takes for a
sequence: a line of JSON, a record batch of Arrow. Units are read many at a time, by the very
readers of predictions; only where that fails are they read in halves, to name the culprit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from service.errors import BadRequest, TooLarge
from service.manifest import Manifest
from service.pack import Pack
from service.wires.validation import Limits

GROUP_BYTES = 2**16  # that are read at a time


@dataclass(frozen=True, slots=True)
class Unit:
    """``number`` counts from 1; defines: what later units may speak of, by its code."""

    number: int
    data: bytes
    defines: dict[int, bytes] = field(default_factory=dict)


class PieceReader(Protocol):
    """Reads one body. Packs have a sequence for every piece."""

    name: str  # of a unit, to clients

    @property
    def uncut(self) -> int:
        """Bytes that have come of units that are not whole, or too few to be read."""

    @property
    def held(self) -> int:
        """Those, and what is kept for units to come."""

    def cut(self, data: bytes, last: bool) -> list[Unit]:
        """Units that are whole by now and enough to be read; ``last``: no more data will come.

        TooLarge or BadRequest where there is one that cannot be cut.
        """

    def read(self, units: Sequence[Unit]) -> list[Pack]:
        """The pieces of units, in order; in any thread, one call at a time. BadRequest names it."""

    def check_empty(self) -> None:
        """BadRequest where a body without a piece is not what the model reads either."""


def in_halves(
    units: Sequence[Unit], read: Callable[[Sequence[Unit]], Pack], name: str
) -> list[Pack]:
    """All units together; if they cannot be, by halves, until it is known which one is at fault."""
    try:
        return [read(units)]
    except BadRequest as error:
        if len(units) == 1:
            raise BadRequest(f"{name} {units[0].number}: {error}") from error
    half = len(units) // 2
    return in_halves(units[:half], read, name) + in_halves(units[half:], read, name)


def of_any_length(manifest: Manifest) -> Manifest:
    """What a piece is held against: bounds of length are the whole sequence's."""
    return manifest.model_copy(update={"min_length": 0, "max_length": None})


def of_pieces(limits: Limits, name: str) -> Limits:
    """A prediction's limits go for a unit."""
    return replace(limits, per=name)


def check_size(name: str, number: int, size: int, most: int) -> None:
    """TooLarge for a unit that is."""
    if size > most:
        raise TooLarge(f"{name} {number} is larger than the limit of {most} bytes")
