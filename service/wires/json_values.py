"""JSON values one by one: for what is not all numbers, or not all right, and must be named."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import simdjson

from service.columns import IdsColumn, VectorColumn
from service.errors import BadRequest
from service.manifest import Column, ContextColumn
from service.wires.document import kind, numbers
from service.wires.draft import Values, place

NUMBERS = (int, float, bool)

Item = tuple[tuple[int, ...], Any]  # where in the column, and the value there


def gather(column: Column | ContextColumn, items: Iterable[Item]) -> Values:
    """A column's values; BadRequest for the first that no value of the column can be."""
    if isinstance(column, VectorColumn):
        return _vectors(column, list(items))
    values, missing = [], []
    allowed = _id_types(column) if isinstance(column, IdsColumn) else NUMBERS
    for index, value in items:
        if value is not None and type(value) not in allowed:
            raise _wrong(column, index, value)
        values.append(0 if value is None else value)
        missing.append(value is None)
    return _values(column, values, np.array(missing, bool))


def _id_types(column: IdsColumn) -> tuple[type, ...]:
    return (int, bool) if column.labels is None else (int, bool, str)


def _wrong(column: Column | ContextColumn, index: tuple[int, ...], value: Any) -> BadRequest:
    """What a value must be."""
    wanted = "an integer id" if isinstance(column, IdsColumn) else "a number"
    return BadRequest(f"{place(column.name, *index)}: must be {wanted}, not {kind(value)}")


def _values(column: Column | ContextColumn, values: list[Any], missing: Any) -> Values:
    absent = missing if missing.any() else None
    if not isinstance(column, IdsColumn):
        return Values(np.array(values, np.float64), missing=absent)
    if any(isinstance(value, str) for value in values):
        return Values(_words(column, values, missing), missing=absent)
    whole = np.array(values, np.int64 if all(v < 2**63 for v in values) else np.uint64)
    return Values(whole, missing=absent)


def _words(column: IdsColumn, values: list[Any], missing: Any) -> Any:
    """(R,) strings; where some are, all must be."""
    for value, absent in zip(values, missing, strict=True):
        if not absent and not isinstance(value, str):
            raise BadRequest(f"{column.name}: integers and strings in one column")
    found = np.empty(len(values), object)
    found[:] = values
    return found


def _vectors(column: VectorColumn, items: list[Item]) -> Values:
    """The vectors; where one has a wrong width, all widths and no numbers."""
    for index, token in items:
        if not isinstance(token, simdjson.Array):
            where = place(column.name, *index)
            wanted = f"a list of {column.width} numbers"
            raise BadRequest(f"{where}: must be {wanted}, not {kind(token)}")
    widths = np.array([len(token) for _, token in items], np.int64)
    if (widths != column.width).any():
        return Values(np.empty(0), widths)
    data = np.empty((len(items), column.width))
    for row, (index, token) in enumerate(items):
        copied = numbers(token, "d")
        # A list in it may hold just as many numbers as there is room for.
        simple = copied is not None and len(copied) == column.width and _flat(token)
        data[row] = copied if simple else _row(column, index, token)
    return Values(data.ravel(), widths)


def _flat(token: simdjson.Array) -> bool:
    return not any(isinstance(value, simdjson.Array) for value in token)


def _row(column: VectorColumn, index: tuple[int, ...], token: Any) -> list[float]:
    """The numbers of a vector, one by one; null is NaN."""
    for k, value in enumerate(token):
        if value is not None and type(value) not in NUMBERS:
            raise _wrong(column, (*index, k), value)
    return [np.nan if value is None else value for value in token]
