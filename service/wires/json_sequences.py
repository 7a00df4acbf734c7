"""The JSON wire, inwards: {"sequences": [...]} of lists, or of objects with a list per column."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from typing import Any, Literal

import numpy as np
import simdjson

from service.columns import IdsColumn, VectorColumn
from service.errors import BadRequest
from service.manifest import Column, ContextColumn, Manifest
from service.pack import Array
from service.wires.document import Document, fields, kind, listed, numbers
from service.wires.draft import Values, place
from service.wires.json_values import Item, gather
from service.wires.validation import Limits, check_places, check_sequences

FIELD, MASK = "sequences", "mask"


class JsonSequences:
    """A draft over a parsed body. With a mask, tokens that have a 0 there are padding, left out."""

    def __init__(self, document: Document, manifest: Manifest, limits: Limits) -> None:
        root = fields(document.root, "the body", (FIELD, MASK))
        if FIELD not in root:
            raise BadRequest(f"missing field {FIELD!r}")
        self._outer = listed(root[FIELD], FIELD, "sequences")
        check_sequences(len(self._outer), limits)
        self._mask, self._document, self._manifest = root.get(MASK), document, manifest
        self._limits, self._counts = limits, dict[str, Array]()
        self._named = isinstance(self._outer[0], simdjson.Object)
        self.names = self._names(limits.tensors)

    def _names(self, most: int) -> tuple[str, ...]:
        """What the first sequence has; the one column of a model that has no more."""
        if self._named:
            return tuple(fields(self._outer[0], f"{FIELD}[0]", most=most))
        columns = (*self._manifest.columns, *self._manifest.context)
        if len(columns) > 1:
            example = ", ".join(f'"{column.name}": ...' for column in columns)
            found = kind(self._outer[0])
            raise BadRequest(f"{FIELD}[0]: must be an object {{{example}}}, not {found}")
        return (columns[0].name,)

    @cached_property
    def _rows(self) -> dict[str, list[Any]]:
        """What each sequence has of a column."""
        if not self._named:
            return {self.names[0]: list(self._outer)}
        rows = [fields(row, f"{FIELD}[{i}]", self.names) for i, row in enumerate(self._outer)]
        for i, row in enumerate(rows):
            for name in self.names:
                if name not in row:
                    raise BadRequest(f"{FIELD}[{i}]: column {name!r} is missing")
        return {name: [row[name] for row in rows] for name in self.names}

    def lengths(self, name: str) -> Array:
        """(N,) tokens, without padding."""
        counts = self._all(name)
        if self._kept is None:
            return counts
        for i, (kept, count) in enumerate(zip(self._kept, counts, strict=True)):
            if len(kept) != count:
                raise BadRequest(f"{MASK}[{i}]: {len(kept)} values for {count} tokens")
        return np.array([row.sum() for row in self._kept], np.int64)

    def _all(self, name: str) -> Array:
        """(N,) tokens, with padding."""
        if name not in self._counts:
            lists = [
                listed(row, place(name, i), "tokens") for i, row in enumerate(self._rows[name])
            ]
            self._counts[name] = np.array([len(row) for row in lists], np.int64)
        return self._counts[name]

    def tokens(self, column: Column) -> Values:
        """A column's values, padding left out."""
        return self._copied(column) or gather(column, self._items(column.name))

    def context(self, column: ContextColumn) -> Values:
        """A value of every sequence."""
        items = (((i,), value) for i, value in enumerate(self._rows[column.name]))
        return gather(column, items)

    def _items(self, name: str) -> Iterator[Item]:
        """Every token with its place."""
        kept = self._kept
        for i, row in enumerate(self._rows[name]):
            for j, token in enumerate(row):
                if kept is None or kept[i][j]:
                    yield (i, j), token

    def _copied(self, column: Column) -> Values | None:
        """The values straight out of the parser, or None where one must look at each of them."""
        if not self._regular:
            return None
        of: Literal["d", "i"] = "i" if isinstance(column, IdsColumn) else "d"
        rows = self._rows[column.name]
        whole = [self._outer] if not self._named else rows
        parts = [numbers(row, of) for row in whole]
        if any(part is None for part in parts):
            return None
        data = parts[0] if len(parts) == 1 else np.concatenate([p for p in parts if p is not None])
        assert data is not None
        keep = None if self._kept is None else np.concatenate(self._kept)
        if not isinstance(column, VectorColumn):
            if len(data) != sum(map(len, rows)):
                return None
            return Values(data if keep is None else data[keep])
        return _vectors(rows, data, column.width, keep)

    @cached_property
    def _regular(self) -> bool:
        """Whether there are just as many lists as there are columns, sequences and vectors."""
        lists = 1
        for column in self._manifest.columns:
            counts = self._all(column.name)
            lists += len(counts)
            lists += int(counts.sum()) if isinstance(column, VectorColumn) else 0
        for own in self._manifest.context:
            lists += len(self._outer) if isinstance(own, VectorColumn) else 0
        if self._kept is not None:
            lists += 1 + len(self._kept)
        return lists == self._document.lists

    @cached_property
    def _kept(self) -> list[Array] | None:
        """Which tokens are no padding, by sequence."""
        if self._mask is None:
            return None
        rows = listed(self._mask, MASK, "sequences")
        if len(rows) != len(self._outer):
            raise BadRequest(f"{MASK}: {len(rows)} rows for {len(self._outer)} sequences")
        lists = [listed(row, f"{MASK}[{i}]", "0 and 1") for i, row in enumerate(rows)]
        check_places(sum(map(len, lists)), self._limits)
        return [_bits(row, i) for i, row in enumerate(lists)]


def _bits(row: simdjson.Array, i: int) -> Array:
    """(n,) bool."""
    copied = numbers(row, "i")
    if copied is not None and len(copied) == len(row) and ((copied == 0) | (copied == 1)).all():
        return np.asarray(copied == 1)
    for j, value in enumerate(row):
        if not isinstance(value, bool | int | float) or value not in (0, 1):
            raise BadRequest(f"{MASK}[{i}][{j}]: must be 0 or 1")
    return np.fromiter(row, bool, len(row))


def _vectors(rows: list[Any], data: Array, width: int, keep: Array | None) -> Values | None:
    """Vectors with how many numbers each has; None where that is not all there is."""
    try:
        widths = np.fromiter(map(len, chain.from_iterable(rows)), np.int64)
    except TypeError:
        return None
    if widths.sum() != len(data):
        return None
    if keep is None:
        return Values(data, widths)
    if (widths != width).any():
        return None
    return Values(data.reshape(-1, width)[keep].ravel(), widths[keep])
