"""Flatbuffers, read without trust: nothing outside the data is touched, whatever they claim.

A table is found through its vtable, which says where each field lies. Source: the flatbuffers
internals page. What does not hold together raises ValueError or struct.error.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from service.pack import Array

BROKEN = "its metadata does not hold together"


@dataclass(frozen=True, slots=True)
class Table:
    """A table that lies at a place of the data."""

    data: memoryview
    at: int

    @classmethod
    def root(cls, data: memoryview) -> Table:
        """The table that the data are about."""
        return cls(data, _unpack("<I", data, 0))

    def number(self, field: int, form: str, default: int = 0) -> int:
        """A scalar field of the format, as `struct` names it."""
        place = self._place(field)
        return default if place is None else _unpack(f"<{form}", self.data, place)

    def table(self, field: int) -> Table | None:
        """A field that is a table, or a union's value."""
        place = self._target(field)
        return None if place is None else Table(self.data, place)

    def text(self, field: int, most: int) -> str:
        """A field that is a string, of at most so many bytes; "" where the table has none."""
        found = self._vector(field, 1) or b""
        if len(found) > most:
            raise ValueError(f"a name has {len(found)} bytes, the limit is {most}")
        return str(bytes(found), "utf-8")

    def count(self, field: int) -> int:
        """How many tables there are in a field that is a vector of them."""
        return len(self._vector(field, 4) or b"") // 4

    def tables(self, field: int) -> Iterator[Table]:
        """A field that is a vector of tables, one by one: it may claim any number of them."""
        count, place = self.count(field), self._target(field)
        if place is not None:
            for i in range(place + 4, place + 4 + 4 * count, 4):
                yield Table(self.data, i + _unpack("<I", self.data, i))

    def integers(self, field: int, columns: int) -> Array:
        """A field that is a vector of structs, each of so many int64: (R, columns)."""
        found = self._vector(field, 8 * columns)
        return np.frombuffer(found or b"", "<i8").reshape(-1, columns)

    def _place(self, field: int) -> int | None:
        """Where a field is; None where the table has none."""
        vtable = self.at - _unpack("<i", self.data, self.at)
        slot = 4 + 2 * field
        if slot >= _unpack("<H", self.data, vtable):
            return None
        offset = _unpack("<H", self.data, vtable + slot)
        return self.at + offset if offset else None

    def _target(self, field: int) -> int | None:
        """Where what a field points to is."""
        place = self._place(field)
        return None if place is None else place + _unpack("<I", self.data, place)

    def _vector(self, field: int, size: int) -> memoryview | None:
        """The bytes of a vector of elements of that size."""
        place = self._target(field)
        if place is None:
            return None
        end = place + 4 + size * _unpack("<I", self.data, place)
        if end > len(self.data):
            raise ValueError(BROKEN)
        return self.data[place + 4 : end]


def _unpack(form: str, data: memoryview, place: int) -> int:
    if place < 0:  # what `struct` would count from the end
        raise ValueError(BROKEN)
    return int(struct.unpack_from(form, data, place)[0])
