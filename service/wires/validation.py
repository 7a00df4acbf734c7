"""The one validator: a draft of any wire -> a pack that fits the model, or one sentence.

The order of the checks is part of it: what is wrong first is the same whatever the wire.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from service.checks import check_ids, check_lengths, earliest
from service.columns import IdsColumn, TimeColumn, VectorColumn
from service.engine.job import cost
from service.errors import BadRequest, quoted
from service.manifest import Column, ContextColumn, Manifest
from service.pack import Array, Pack
from service.wires.draft import Draft, Values, place

PADDING = 4  # times as many places as tokens are allowed
FLOATS = {"float32": "a finite float32 number", "float64": "a finite float64 number"}
KINDS = {"b": "a boolean", "f": "a float", "i": "an integer", "u": "an integer", "O": "a string"}


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one request may hold. tensors: or columns; json_depth: lists and objects nested.

    per: what it is called that they are limits of.
    """

    tokens: int
    sequences: int
    tensors: int = 512
    json_depth: int = 64
    per: str = "request"


def admit(draft: Draft, manifest: Manifest, limits: Limits) -> Pack:
    """The draft as a pack, or BadRequest naming what is wrong, where, and what is allowed."""
    check_names(draft, manifest)
    lengths = _lengths(draft, manifest, limits)
    pack = Pack({}, lengths)
    for column in manifest.columns:
        where = _token(column.name, lengths)
        pack.columns[column.name] = _array(draft.tokens(column), column, where)
        check_ids(column, pack.columns[column.name], where)
    for own in manifest.context:
        at = _sequence(own.name)
        pack.context[own.name] = _array(draft.context(own), own, at)
        if len(pack.context[own.name]) != len(lengths):
            found = len(pack.context[own.name])
            raise BadRequest(f"{own.name} has {found} values for {len(lengths)} sequences")
        check_ids(own, pack.context[own.name], at)
    return pack


def check_names(draft: Draft, manifest: Manifest) -> None:
    """BadRequest for a column that the model does not read, or one that is missing."""
    known = [column.name for column in (*manifest.columns, *manifest.context)]
    for name in draft.names:
        if name not in known:
            listed = ", ".join(known)
            raise BadRequest(f"unknown column {quoted(name)}; this model reads {listed}")
    for name in known:
        if name not in draft.names:
            raise BadRequest(f"column {name!r} is missing")


def _lengths(draft: Draft, manifest: Manifest, limits: Limits) -> Array:
    """(N,) the tokens of each sequence, the same in all columns and within all limits."""
    first, *others = (column.name for column in manifest.columns)
    lengths = draft.lengths(first)
    check_sequences(len(lengths), limits)
    for name in others:
        _check_agreement(first, lengths, name, draft.lengths(name))
    tokens = sum(map(cost, lengths.tolist()))
    if tokens > limits.tokens:
        raise BadRequest(f"{tokens} tokens, the limit is {limits.tokens} per {limits.per}")
    check_lengths(lengths, manifest)
    return lengths


def check_sequences(count: int, limits: Limits) -> None:
    """BadRequest for none or too many; for wires that would read many one by one, too."""
    if not count:
        raise BadRequest("no sequence is given, at least 1 is needed")
    if count > limits.sequences:
        raise BadRequest(f"{count} sequences, the limit is {limits.sequences} per request")


def check_places(count: int, limits: Limits) -> None:
    """BadRequest for far more places than tokens are allowed: padding has to be read too."""
    most = PADDING * limits.tokens
    if count > most:
        raise BadRequest(f"{count} places with and without tokens, the limit is {most} per request")


def _check_agreement(first: str, lengths: Array, name: str, found: Array) -> None:
    if len(found) != len(lengths):
        raise BadRequest(f"{name} has {len(found)} sequences, {first} has {len(lengths)}")
    differ = np.flatnonzero(found != lengths)
    if len(differ):
        i = differ[0]
        raise BadRequest(f"sequence {i}: {name} has {found[i]} tokens, {first} has {lengths[i]}")


Where = Callable[[int], str]


def _token(name: str, lengths: Array) -> Where:
    """Names the place of a token that is counted over all sequences."""

    def where(token: int) -> str:
        ends = np.cumsum(lengths)
        sequence = int(np.searchsorted(ends, token, side="right"))
        return place(name, sequence, token - int(ends[sequence] - lengths[sequence]))

    return where


def _sequence(name: str) -> Where:
    return lambda sequence: place(name, sequence)


def _array(values: Values, column: Column | ContextColumn, where: Where) -> Array:
    """The values with the column's own type and shape."""
    if isinstance(column, VectorColumn):
        return _vectors(values, column, where)
    values, first = _present(values)
    if values.widths is not None and len(values.widths):
        raise BadRequest(f"{where(first)}: must be {_wanted(column)}, not a list")
    if isinstance(column, IdsColumn):
        return _ids(values, column, first, where)
    return _numbers(values, column, where)


def _present(values: Values) -> tuple[Values, int]:
    """The values, and the first that is not missing; where all are, of whatever type will do."""
    if values.missing is None:
        return values, 0
    if values.missing.all():
        return Values(np.zeros(len(values.missing), np.int64), missing=values.missing), 0
    return values, int(values.missing.argmin())


def _missing(values: Values) -> int | None:
    return None if values.missing is None else earliest(values.missing)


def _wanted(column: Column | ContextColumn) -> str:
    if isinstance(column, VectorColumn):
        return f"a list of {column.width} numbers"
    return "an integer id" if isinstance(column, IdsColumn) else "a number"


def _vectors(values: Values, column: VectorColumn, where: Where) -> Array:
    """(R, width) float32, finite."""
    missing = _missing(values)
    if values.widths is None and len(values.data) and missing != 0:
        found = KINDS[values.data.dtype.kind]
        raise BadRequest(f"{where(0)}: must be {_wanted(column)}, not {found}")
    if missing is not None:
        raise BadRequest(f"{where(missing)}: must be {_wanted(column)}, not null")
    if values.widths is None:
        return np.empty((0, column.width), np.float32)
    wrong = earliest(values.widths != column.width)
    if wrong is not None:
        found, width = values.widths[wrong], column.width
        raise BadRequest(f"{where(wrong)}: {found} numbers, the width is {width}")
    array = _cast(values.data, "float32", lambda i: _within(where, i, column.width))
    return array.reshape(-1, column.width)


def _within(where: Where, number: int, width: int) -> str:
    return place(where(number // width), number % width)


def _numbers(values: Values, column: Column | ContextColumn, where: Where) -> Array:
    """(R,) finite; missing ones are NaN where they are allowed."""
    allowed = not isinstance(column, TimeColumn) and getattr(column, "missing", False)
    data = values.data
    if values.missing is not None and data.dtype.kind != "O":
        data = np.where(values.missing, np.nan, data.astype(np.float64))
    return _cast(data, column.dtype, where, allowed)


def _cast(data: Array, dtype: str, where: Where, missing: bool = False) -> Array:
    """Numbers of any type as finite ones of this; through float64, as JSON's are."""
    if data.dtype.kind == "O":
        word = earliest(np.array([value is not None for value in data], bool))
        if word is not None:
            raise BadRequest(f"{where(word)}: must be a number, not a string")
        data = np.full(len(data), np.nan)
    if data.dtype != dtype:
        with np.errstate(over="ignore", invalid="ignore"):
            data = data.astype(np.float64, copy=False).astype(dtype)
    good = np.isfinite(data)
    if missing:
        good |= np.isnan(data)
    if np.count_nonzero(good) < good.size:
        raise BadRequest(f"{where(int(good.argmin()))}: must be {FLOATS[dtype]}")
    return _laid_out(data)


def _ids(values: Values, column: IdsColumn, first: int, where: Where) -> Array:
    """(R,) int64. What is missing or has no id is out of range, where that is allowed.

    first: the first value that is not missing.
    """
    data = values.data
    if not data.size:
        return np.empty(len(data), np.int64)
    outside = column.high + 1 if column.high < 2**63 - 1 else column.low - 1
    if data.dtype.kind == "O" and column.labels is not None:
        data = _coded(values, column.labels, column, outside, where)
    if data.dtype.kind not in "biu":
        raise BadRequest(f"{where(first)}: must be an integer id, not {KINDS[data.dtype.kind]}")
    large = earliest(data > 2**63 - 1) if data.dtype.kind == "u" else None
    if large is not None:
        raise BadRequest(f"{where(large)}: id {data[large]} is above 2^63 - 1")
    missing = _missing(values)
    if missing is not None and not column.unknown:
        raise BadRequest(f"{where(missing)}: must be an integer id, not null")
    if values.missing is not None:
        data = np.where(values.missing, outside, data)
    return _laid_out(data.astype(np.int64, copy=False))


def _coded(
    values: Values, labels: Sequence[str], column: IdsColumn, outside: int, where: Where
) -> Array:
    """Words -> the ids that the column's labels give them."""
    ids = {label: column.low + i for i, label in enumerate(labels)}
    found = np.array([ids.get(word, outside) for word in values.data], np.int64)
    unknown = found == outside
    if values.missing is not None:
        unknown &= ~values.missing
    wrong = earliest(unknown)
    if wrong is not None and not column.unknown:
        word = quoted(str(values.data[wrong]), 40)
        raise BadRequest(f"{where(wrong)}: {word} is none of its labels")
    return found


def _laid_out(data: Array) -> Array:
    """As graphs read it."""
    flags = data.flags
    return data if flags.c_contiguous and flags.aligned else np.require(data, None, ["C", "A"])
