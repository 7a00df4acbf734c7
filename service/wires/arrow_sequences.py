"""The Arrow wire, inwards: a row per sequence; lists of tokens, and context values.

A draft over record batches, of a stream or at hand. Numbers stay where they lie until a pack is
made of them; of several batches they are joined once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import nanoarrow
import numpy as np

from service.errors import BadRequest, quoted
from service.manifest import Column, ContextColumn, Manifest
from service.pack import Array
from service.wires.arrow_array import ArrowArray, Type, columns_of, imported
from service.wires.arrow_stream import Stream
from service.wires.arrow_values import values
from service.wires.draft import Values, place
from service.wires.validation import Limits

KINDS = {"n": "null", "b": "a boolean", "+s": "an object"} | dict.fromkeys("cCsSiIlL", "an integer")
KINDS |= dict.fromkeys("efg", "a float") | dict.fromkeys(("u", "U", "vu"), "a string")


class ArrowSequences:
    """A draft over a table's columns, each in as many chunks as the table has batches."""

    def __init__(self, names: Sequence[str], batches: Iterable[Sequence[ArrowArray]]) -> None:
        """Of columns of these names; BadRequest where a name comes twice."""
        seen = set[str]()
        for name in names:
            if name in seen:
                raise BadRequest(f"there are two columns {quoted(name)}")
            seen.add(name)
        self.names = tuple(names)
        self._chunks: dict[str, list[ArrowArray]] = defaultdict(list)
        for batch in batches:
            for name, chunk in zip(names, batch, strict=True):
                self._chunks[name].append(chunk)

    @classmethod
    def read(cls, body: bytes | bytearray, manifest: Manifest, limits: Limits) -> ArrowSequences:
        """The sequences of an IPC stream; BadRequest where it cannot be read or has too many."""
        stream = Stream(body, limits)
        names = [field.column for field in stream.fields]
        known = {column.name for column in (*manifest.columns, *manifest.context)}
        # With other columns than the model's the request is going to be refused unread.
        return cls(names, stream.batches() if known == set(names) else ())

    @classmethod
    def of(cls, arrays: Iterable[Any]) -> ArrowSequences:
        """The sequences of struct arrays that another library has in memory, of one schema."""
        tables = [nanoarrow.c_array(array) for array in arrays]
        names = [child.name for child in tables[0].schema.children] if tables else []
        return cls(names, (columns_of(imported(table)) for table in tables))

    def lengths(self, name: str) -> Array:
        """(N,) tokens."""
        parts, row = [], 0
        for chunk in self._chunks[name]:
            _check_lists(chunk, row)
            parts.append(np.diff(chunk.offsets()))
            row += chunk.length
        return (
            np.concatenate(parts).astype(np.int64, copy=False) if parts else np.empty(0, np.int64)
        )

    def tokens(self, column: Column) -> Values:
        """A column's values, of all lists."""
        return values(map(_flat, self._chunks[column.name]), column)

    def context(self, column: ContextColumn) -> Values:
        """A value of every row."""
        return values(self._chunks[column.name], column)


def _flat(chunk: ArrowArray) -> ArrowArray:
    """What the lists hold."""
    offsets = chunk.offsets()
    return chunk.children[0].part(int(offsets[0]), int(offsets[-1]))


def _check_lists(chunk: ArrowArray, row: int) -> None:
    """BadRequest unless there is a list in every row; the chunk's first is this one."""
    missing = chunk.missing()
    wanted = "must be a list of tokens"
    if chunk.type.is_empty:
        raise chunk.wrong("its lists have a fixed size of 0")
    if chunk.length and not chunk.type.is_list and (missing is None or not missing[0]):
        found = _kind(chunk.type)
        if found is None:
            raise chunk.wrong(f"its type is {chunk.type}; a list of tokens is needed in each row")
        raise BadRequest(f"{place(chunk.column, row)}: {wanted}, not {found}")
    if missing is not None:
        row += int(missing.argmax())
        raise BadRequest(f"{place(chunk.column, row)}: {wanted}, not null")


def _kind(own: Type) -> str | None:
    """What JSON would call a value of the type; None where it has nothing like it."""
    return KINDS.get((own.dictionary or own).format)
