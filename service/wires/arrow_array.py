"""Arrow arrays as they lie in memory, of a stream or of another library, read into numpy.

Lengths and offsets are claims: each is held against the buffers before it is used. Source: the
columnar format and the C data interface, whose format strings name the types.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from service.errors import BadRequest
from service.pack import Array

SIMPLE = {
    "n": "null",
    "b": "bool",
    "c": "int8",
    "C": "uint8",
    "s": "int16",
    "S": "uint16",
    "i": "int32",
    "I": "uint32",
    "l": "int64",
    "L": "uint64",
    "e": "float16",
    "f": "float32",
    "g": "float64",
    "u": "utf8",
    "U": "large_utf8",
    "vu": "string_view",
    "z": "binary",
    "Z": "large_binary",
    "vz": "binary_view",
    "+l": "list",
    "+L": "large_list",
    "+vl": "list_view",
    "+vL": "large_list_view",
    "+s": "struct",
    "+m": "map",
    "+r": "run_end_encoded",
    "tdD": "date32",
    "tdm": "date64",
}
PREFIXES = {
    "d:": "decimal",
    "w:": "fixed_size_binary",
    "+w:": "fixed_size_list",
    "ts": "timestamp",
    "tD": "duration",
    "tt": "time",
    "ti": "interval",
    "+u": "union",
}
FIXED, VIEWS = "+w:", ("vu", "vz")
MOST_SAID = 80  # characters of a type in a sentence
OFFSETS = {"+l": "<i4", "+L": "<i8", "u": "<i4", "U": "<i8"}  # of what has them, their type


@dataclass(frozen=True, slots=True)
class Type:
    """An Arrow type: its format string, the types of its children, and of what it encodes."""

    format: str
    children: tuple[Type, ...] = ()
    dictionary: Type | None = None

    @property
    def is_list(self) -> bool:
        """Whether its values are lists that lie end to end."""
        return self.dictionary is None and self.format.startswith(("+l", "+L", FIXED))

    @property
    def size(self) -> int:
        """How many values each list has, where all have as many."""
        return int(self.format.removeprefix(FIXED))

    @property
    def is_empty(self) -> bool:
        """Whether its values are lists of nothing, whatever their number."""
        return self.is_list and self.format.startswith(FIXED) and not self.size

    def __str__(self) -> str:
        whole = self._name()
        return whole if len(whole) <= MOST_SAID else f"{whole[: MOST_SAID - 3]}..."

    def _name(self) -> str:
        if self.dictionary is not None:
            return f"dictionary<{self.dictionary}>"
        start = (name for prefix, name in PREFIXES.items() if self.format.startswith(prefix))
        name = SIMPLE.get(self.format) or next(start, "unknown")
        parts = map(str, self.children[:MOST_SAID])
        return f"{name}<{', '.join(parts)}>" if self.children else name


@dataclass(frozen=True, slots=True)
class ArrowArray:
    """``length`` values from ``offset`` on, of a column that errors name.

    buffers: validity first, where the type has one; of views without their sizes at the end.
    """

    column: str
    type: Type
    length: int
    offset: int
    buffers: tuple[Any, ...]
    children: tuple[ArrowArray, ...] = ()
    dictionary: ArrowArray | None = None

    def part(self, start: int, stop: int) -> ArrowArray:
        """The values ``start..stop``, which this array must have."""
        if not 0 <= start <= stop <= self.length:
            raise self.wrong("its offsets leave its values")
        return replace(self, offset=self.offset + start, length=stop - start)

    def buffer(self, index: int, dtype: str, start: int, count: int) -> Array:
        """``count`` elements of a buffer from ``start`` on, in place."""
        data, size = self.buffers[index], np.dtype(dtype).itemsize
        if count and (data is None or memoryview(data).nbytes < (start + count) * size):
            raise self.wrong("its buffers are shorter than its lengths")
        return np.frombuffer(data, dtype, count, start * size) if count else np.empty(0, dtype)

    def bits(self, index: int) -> Array:
        """(length,) bool of a buffer of bits."""
        first, last = self.offset // 8, (self.offset + self.length + 7) // 8
        packed = self.buffer(index, "u1", first, last - first)
        places = slice(self.offset - 8 * first, self.offset - 8 * first + self.length)
        return np.unpackbits(packed, bitorder="little")[places].view(np.bool_)

    def missing(self) -> Array | None:
        """(length,) which values are null, if any is."""
        if self.type.format == "n":
            return np.ones(self.length, np.bool_) if self.length else None
        if not self.buffers or self.buffers[0] is None or not memoryview(self.buffers[0]).nbytes:
            return None
        valid = self.bits(0)
        return None if valid.all() else ~valid

    def offsets(self) -> Array:
        """(length + 1,) where each list or string starts in what they are made of, ascending."""
        if self.type.format.startswith(FIXED):
            if (self.offset + self.length) * self.type.size > self.children[0].length:
                raise self.wrong("its lists leave their values")
            return np.arange(self.offset, self.offset + self.length + 1) * self.type.size
        if not self.length:
            return np.zeros(1, np.int64)
        found = self.buffer(1, OFFSETS[self.type.format], self.offset, self.length + 1)
        if found[0] < 0 or (found[1:] < found[:-1]).any():
            raise self.wrong("its offsets descend")
        return found

    def wrong(self, why: str) -> BadRequest:
        """An error of the column as a whole."""
        return BadRequest(f"{self.column}: {why}")


class Held:
    """A buffer of another library, whose array lives as long as numpy looks at it.

    The views that nanoarrow gives of an array's children forget whose they are.
    """

    def __init__(self, buffer: Any, owner: Any) -> None:
        self.owner = owner
        size = buffer.size_bytes
        self.__array_interface__ = {
            "version": 3,
            "typestr": "|u1",
            "shape": (size,),
            "data": (buffer._addr() if size else 0, True),
        }


def imported(owner: Any) -> ArrowArray:
    """A struct array of nanoarrow's as it lies, a table; its columns name themselves."""
    return _imported(owner, owner.schema, owner.view(), "")


def _imported(owner: Any, schema: Any, view: Any, column: str) -> ArrowArray:
    parts = tuple(
        _imported(owner, child, view.child(i), column or child.name)
        for i, child in enumerate(schema.children)
    )
    words = None
    if schema.dictionary is not None:
        words = _imported(owner, schema.dictionary, view.dictionary, column)
    kind = Type(schema.format, tuple(part.type for part in parts), words.type if words else None)
    buffers = _buffers(owner, view, view.n_buffers - (kind.format in VIEWS))
    return ArrowArray(column, kind, view.length, view.offset, buffers, parts, words)


def _buffers(owner: Any, view: Any, count: int) -> tuple[Array, ...]:
    try:
        return tuple(np.asarray(Held(view.buffer(i), owner)) for i in range(count))
    except (ValueError, RuntimeError):  # a type that nanoarrow cannot read, nor does any column
        return ()


def columns_of(table: ArrowArray) -> Sequence[ArrowArray]:
    """The columns of a struct array, which its own offset and length go for."""
    if table.missing() is not None:
        raise BadRequest("a row as a whole is null")
    return [child.part(table.offset, table.offset + table.length) for child in table.children]
