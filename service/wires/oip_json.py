"""An input's "data" in JSON -> an array: nested to the shape, or flat in row-major order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, islice
from math import prod
from operator import mul
from typing import Any, Literal

import numpy as np
import simdjson

from service.errors import BadRequest
from service.pack import Array
from service.wires.document import kind, numbers
from service.wires.draft import place
from service.wires.tensors import BF16, BYTES, NUMBERS

Buffer = Literal["d", "i", "u"]
BUFFERS: dict[str, Buffer] = {"f": "d", "i": "i", "u": "u"}  # by the kind of a numpy type


def levels(data: simdjson.Array, shape: Sequence[int]) -> list[int]:
    """How long lists ought to be, by depth: of flat data there is one."""
    nested = len(shape) > 1 and len(data) > 0 and isinstance(data[0], simdjson.Array)
    return list(shape) if nested else [prod(shape)]


def lists(sizes: Sequence[int]) -> int:
    """How many lists data of these levels are."""
    inner: int = sum(accumulate(sizes[:-1], mul))
    return 1 + inner


def array_of(
    data: simdjson.Array, datatype: str, shape: Sequence[int], plain: bool, where: str
) -> Array:
    """The array; BadRequest where values are of another type, too many or too few.

    plain: no list lies where a value should, so that numbers may be copied unseen.
    """
    sizes = levels(data, shape)
    _check_sizes(data, sizes, shape, f"{where}: data")
    array = _copied(data, datatype, prod(shape)) if plain else None
    if array is None:
        array = _walked(data, datatype, sizes, f"{where}: data")
    return array.reshape(shape)


def _check_sizes(
    data: simdjson.Array, sizes: Sequence[int], shape: Sequence[int], where: str
) -> None:
    """BadRequest unless every list is as long as its level says."""
    for depth, size in enumerate(sizes):
        every = _at(data, depth)
        counts = np.fromiter(map(_length, every), np.int64, prod(sizes[:depth]))
        wrong = counts != size
        if wrong.any():
            i = int(wrong.argmax())
            at = place(where, *map(int, np.unravel_index(i, sizes[:depth]) if depth else ()))
            if counts[i] < 0:
                found = kind(next(islice(_at(data, depth), i, None)))
                raise BadRequest(f"{at}: must be a list, not {found}")
            raise BadRequest(f"{at}: {counts[i]} values, shape {list(shape)} needs {size}")


def _at(data: Any, depth: int) -> Iterator[Any]:
    """What lies so deep in the lists."""
    return iter([data]) if depth == 0 else chain.from_iterable(_at(data, depth - 1))


def _length(value: Any) -> int:
    return len(value) if isinstance(value, simdjson.Array) else -1


def _copied(data: simdjson.Array, datatype: str, count: int) -> Array | None:
    """Numbers straight out of the parser, or None where one must look at each of them."""
    if datatype in ("BOOL", BYTES):
        return None
    dtype = np.dtype(np.float32) if datatype == BF16 else NUMBERS[datatype]
    found = numbers(data, BUFFERS[dtype.kind])
    return None if found is None or len(found) != count else _narrowed(found, dtype)


def _narrowed(found: Array, dtype: np.dtype) -> Array | None:
    """As the datatype that is declared; None where a number does not fit in it."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return found.astype(dtype)
    bounds = np.iinfo(dtype)
    if len(found) and (found.min() < bounds.min or found.max() > bounds.max):
        return None
    return found.astype(dtype, copy=False)


def _walked(data: simdjson.Array, datatype: str, sizes: Sequence[int], where: str) -> Array:
    """Values one by one; BadRequest for the first that the datatype does not have."""
    dtype = np.dtype(object) if datatype == BYTES else NUMBERS.get(datatype, np.dtype(np.float32))
    found = np.empty(prod(sizes), dtype)
    with np.errstate(over="ignore"):
        for i, value in enumerate(_at(data, len(sizes))):
            if not _has(datatype, dtype, value):
                at = place(where, *map(int, np.unravel_index(i, sizes)))
                what = value if type(value) is int else kind(value)
                raise BadRequest(f"{at}: {what} is no {datatype}")
            found[i] = value
    return found


def _has(datatype: str, dtype: np.dtype, value: Any) -> bool:
    """Whether a datatype has the value."""
    if datatype == BYTES:
        return isinstance(value, str)
    if datatype == "BOOL":
        return isinstance(value, bool | int) and value in (0, 1)
    if dtype.kind == "f":
        return type(value) in (int, float)
    bounds = np.iinfo(dtype)
    return type(value) is int and bounds.min <= value <= bounds.max
