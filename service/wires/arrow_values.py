"""Arrow arrays -> the values of a column: numbers, words, times in seconds, vectors."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from service.columns import IdsColumn, TimeColumn, VectorColumn
from service.errors import BadRequest
from service.manifest import Column, ContextColumn
from service.pack import Array
from service.wires.arrow_array import ArrowArray, Type
from service.wires.draft import Values

NUMBERS = {
    "c": "i1",
    "C": "u1",
    "s": "<i2",
    "S": "<u2",
    "i": "<i4",
    "I": "<u4",
    "l": "<i8",
    "L": "<u8",
    "e": "<f2",
    "f": "<f4",
    "g": "<f8",
}
TICKS = {"s": 1, "m": 10**3, "u": 10**6, "n": 10**9}  # per second
DAY = 86_400  # seconds
WORDS, VIEWS = ("u", "U"), "vu"
INLINE = 12  # bytes of a word that its view holds itself


Known = dict[int, Values]  # what dictionaries hold, by their `id`


def values(arrays: Iterable[ArrowArray], column: Column | ContextColumn) -> Values:
    """The arrays, end to end, as values of the column; BadRequest where their type cannot be.

    Null ones are missing; words that are null, None.
    """
    known: Known = {}
    return _joined([_values(array, column, known) for array in arrays])


def _values(array: ArrowArray, column: Column | ContextColumn, known: Known) -> Values:
    if not array.type.is_list:
        return _scalars(array, column, known)
    offsets = array.offsets()
    inner = array.children[0].part(int(offsets[0]), int(offsets[-1]))
    if inner.type.is_list:
        raise _unfit(array.type, column)
    widths, missing = np.diff(offsets), array.missing()
    # Numbers of lists that are going to be refused are not read: null ones would take no byte.
    if not isinstance(column, VectorColumn) or (widths != column.width).any():
        return Values(np.empty(0), widths, missing)
    return Values(_within(inner, column, known), widths, missing)


def _within(array: ArrowArray, column: VectorColumn, known: Known) -> Array:
    """The numbers of vectors: NaN where they are null."""
    if array.type.format == "n":  # its first is refused, so that there is no need of others
        return np.full(min(1, array.length), np.nan)
    found = _scalars(array, column, known)
    if found.missing is None or found.data.dtype.kind == "O":
        return found.data
    with np.errstate(invalid="ignore"):  # a signalling NaN, which is refused as any other is
        return np.where(found.missing, np.nan, found.data.astype(np.float64))


def _joined(parts: Sequence[Values]) -> Values:
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Values(np.empty(0))
    data = np.concatenate([part.data for part in parts])
    widths = [part.widths for part in parts if part.widths is not None]
    missing = None
    if any(part.missing is not None for part in parts):
        missing = np.concatenate([_mask(part) for part in parts])
    return Values(data, np.concatenate(widths) if widths else None, missing)


def _mask(part: Values) -> Array:
    """(R,) bool, also where nothing is missing."""
    if part.missing is not None:
        return part.missing
    return np.zeros(len(part.data if part.widths is None else part.widths), np.bool_)


def _scalars(array: ArrowArray, column: Column | ContextColumn, known: Known) -> Values:
    """One value after the other; 0 or None where it is missing."""
    kind, missing = array.type, array.missing()
    if kind.dictionary is not None:
        return _decoded(array, column, missing, known)
    if kind.format in WORDS or kind.format == VIEWS:
        data = _words(array) if kind.format in WORDS else _viewed(array)
    elif isinstance(column, TimeColumn) and kind.format.startswith(("ts", "tD", "td")):
        data = _seconds(array)
    else:
        data = _numbers(array, column)
    if missing is not None:
        data = np.where(missing, _null(data), data)
    return Values(data, missing=missing)


def _null(data: Array) -> Any:
    return None if data.dtype.kind == "O" else data.dtype.type(0)


def _numbers(array: ArrowArray, column: Column | ContextColumn) -> Array:
    """(R,) in their own type, in place where that is possible."""
    form = array.type.format
    if form == "n":
        return np.zeros(array.length, np.int64 if isinstance(column, IdsColumn) else np.float64)
    if form == "b":
        return array.bits(1)
    if form.startswith("d:"):
        return _decimals(array, column)
    if form not in NUMBERS:
        raise _unfit(array.type, column)
    return array.buffer(1, NUMBERS[form], array.offset, array.length)


def _decimals(array: ArrowArray, column: Column | ContextColumn) -> Array:
    """(R,) float64, of integers of 128 bits."""
    _, scale, *bits = map(int, array.type.format.removeprefix("d:").split(","))
    if bits not in ([], [128]):
        raise _unfit(array.type, column)
    halves = array.buffer(1, "<i8", 2 * array.offset, 2 * array.length)
    low, high = halves[::2], halves[1::2]
    far = high != low >> 63  # from what 64 bits hold
    return np.where(far, high * 2.0**64 + low.view("<u8"), low) / 10.0**scale


def _seconds(array: ArrowArray) -> Array:
    """(R,) float64: durations, and times and dates since the epoch."""
    form = array.type.format
    dtype = "<i4" if form == "tdD" else "<i8"
    ticks = array.buffer(1, dtype, array.offset, array.length).astype(np.float64)
    return ticks * DAY if form == "tdD" else ticks / TICKS[form[2]]


def _decoded(
    array: ArrowArray, column: Column | ContextColumn, missing: Array | None, known: Known
) -> Values:
    """What the codes of a dictionary stand for."""
    assert array.dictionary is not None
    if array.type.format not in NUMBERS:
        raise _unfit(array.type, column)
    codes = array.buffer(1, NUMBERS[array.type.format], array.offset, array.length)
    if id(array.dictionary) not in known:
        known[id(array.dictionary)] = _scalars(array.dictionary, column, known)
    words = known[id(array.dictionary)]
    if missing is not None:
        codes = np.where(missing, 0, codes)
    size = len(words.data)
    if len(codes) and size and (codes.min() < 0 or codes.max() >= size):
        raise array.wrong("a code that its dictionary does not have")
    if not size:  # then every value must be missing
        if len(codes) and (missing is None or not missing.all()):
            raise array.wrong("a code that its dictionary does not have")
        return Values(np.zeros(len(codes), np.int64), missing=missing)
    lost = _mask(Values(codes, missing=missing))
    if words.missing is not None:
        lost |= words.missing[codes]
    if not lost.any():
        return Values(words.data[codes])
    data = words.data[codes]
    return Values(np.where(lost, _null(data), data), missing=lost)


def _words(array: ArrowArray) -> Array:
    """(R,) strings."""
    offsets = array.offsets()
    first, last = int(offsets[0]), int(offsets[-1])
    text = array.buffer(2, "u1", first, last - first).tobytes()
    places = (offsets - first).tolist()
    found = [_text(array, text[a:b]) for a, b in pairwise(places)]
    return _objects(found)


def _viewed(array: ArrowArray) -> Array:
    """(R,) strings, each from its view: short ones lie in it, others in a buffer it names.

    Views may share what they show. Where different ones show more than there is, as only a hostile
    request has it, that is not unpacked.
    """
    raw = array.buffer(1, "u1", 16 * array.offset, 16 * array.length).tobytes()
    left = sum(memoryview(data).nbytes for data in array.buffers[2:])
    known: dict[bytes, str] = {}
    found = []
    for start in range(0, len(raw), 16):
        view = raw[start : start + 16]
        if view not in known:
            shown = _shown(array, view)
            left -= len(shown) if len(shown) > INLINE else 0
            if left < 0:
                raise array.wrong("its views overlap")
            known[view] = _text(array, shown)
        found.append(known[view])
    return _objects(found)


def _shown(array: ArrowArray, view: bytes) -> bytes:
    """The bytes that a view shows."""
    size, _, buffer, offset = struct.unpack("<4i", view)
    if 0 <= size <= INLINE:
        return view[4 : 4 + size]
    if size < 0 or offset < 0 or not 0 <= buffer < len(array.buffers) - 2:
        raise array.wrong("its views leave its buffers")
    return array.buffer(2 + buffer, "u1", offset, size).tobytes()


def _text(array: ArrowArray, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise array.wrong("a string is not valid UTF-8") from error


def _objects(found: list[str]) -> Array:
    data = np.empty(len(found), object)
    data[:] = found
    return data


def _unfit(kind: Type, column: Column | ContextColumn) -> BadRequest:
    wanted = "numbers"
    if isinstance(column, VectorColumn):
        wanted = f"lists of {column.width} numbers"
    elif isinstance(column, IdsColumn):
        wanted = "integers" if column.labels is None else "integers or strings"
    elif isinstance(column, TimeColumn):
        wanted = "numbers, timestamps, durations or dates"
    return BadRequest(f"{column.name}: its values are {kind}; {wanted} are needed")
