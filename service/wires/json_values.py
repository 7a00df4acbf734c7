"""JSON values one by one: for what is not all numbers, or not all right, and must be named."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import simdjson

from service.columns import IdsColumn, VectorColumn
from service.errors import BadRequest
from service.manifest import Column, ContextColumn
from service.wires.document import kind
from service.wires.draft import Values, place

Item = tuple[tuple[int, ...], Any]  # where in the column, and the value there


def gather(column: Column | ContextColumn, items: Iterable[Item]) -> Values:
    """A column's values; BadRequest for the first that no value of the column can be."""
    if isinstance(column, VectorColumn):
        return _vectors(column, list(items))
    values, missing = [], []
    read = _id if isinstance(column, IdsColumn) else _number
    for index, value in items:
        values.append(0 if value is None else read(column, value, place(column.name, *index)))
        missing.append(value is None)
    return _values(column, values, np.array(missing, bool))


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


def _number(column: Column | ContextColumn, value: Any, where: str) -> float:
    if not isinstance(value, int | float):
        raise BadRequest(f"{where}: must be a number, not {kind(value)}")
    return float(value)


def _id(column: Column | ContextColumn, value: Any, where: str) -> int | str:
    assert isinstance(column, IdsColumn)
    if isinstance(value, int) or (isinstance(value, str) and column.labels is not None):
        return value
    raise BadRequest(f"{where}: must be an integer id, not {kind(value)}")


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
        for k, value in enumerate(token):
            where = place(column.name, *index, k)
            data[row, k] = np.nan if value is None else _number(column, value, where)
    return Values(data.ravel(), widths)
