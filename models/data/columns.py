"""Parquet files -> tensors: every column's values end to end, checked against what is said of them.

Strings become codes of the words found; what a word means to the model is not known here. Rows
are counted from 0 in their file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from models.data.spec import DataError, IdsSpec, NumericSpec

if TYPE_CHECKING:
    import pyarrow as pa

MISSING = "missing (null or NaN)"
NULL = -(2**62)  # an id that no range holds
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a column's values lie, so that a bad one can be named.

    files: the rows of each; ends: (N,) of each row's values, None where a row has one.
    """

    files: tuple[tuple[Path, int], ...]
    column: str
    ends: np.ndarray | None = None

    def refuse(self, bad: np.ndarray, why: str | Callable[[int], str]) -> None:
        """Raise DataError naming file, row and column of the first value that is bad (R,)."""
        if not bad.any():
            return
        index = int(bad.argmax())
        row = index if self.ends is None else int(np.searchsorted(self.ends, index, side="right"))
        said = why if isinstance(why, str) else why(index)
        for path, count in self.files:
            if row < count:
                raise DataError(f"{path}: row {row}, column {self.column!r}: {said}")
            row -= count
        raise AssertionError("a row of no file")

    def wrong(self, why: str) -> DataError:
        """An error of the column as a whole."""
        return DataError(f"{self.files[0][0]}: column {self.column!r}: {why}")


@dataclass(frozen=True, slots=True)
class Values:
    """One column's values (R, ...), end to end; with ``words`` their codes, -1 for null."""

    data: Tensor
    at: Place
    words: tuple[Any, ...] | None = None

    @property
    def silent(self) -> bool:
        """Whether there is no value at all: no row, or nothing but null ids."""
        if self.words is not None:
            return not self.words
        return not self.data.is_floating_point() and bool((self.data == NULL).all())


Read = Callable[["pa.ChunkedArray", Place], Values]


def numbers(values: pa.ChunkedArray, at: Place, missing: bool = False, hint: str = "") -> Values:
    """Finite float32 numbers (R,); NaN and null too where they may be ``missing``."""
    exact = _floats(values, at, np.float64)
    if not missing:
        at.refuse(np.isnan(exact), MISSING + hint)
    at.refuse(np.abs(exact) > np.finfo(np.float32).max, "not a finite float32")
    _tell_apart(exact[~np.isnan(exact)], at)
    return Values(torch.from_numpy(exact.astype(np.float32)), at)


def _tell_apart(exact: np.ndarray, at: Place) -> None:
    """Refuse numbers that lie close together and far from 0: as float32 many become one."""
    mean, spread = (exact.mean(), exact.std()) if len(exact) else (0.0, 0.0)
    if 1e-14 * abs(mean) < spread < 1e-5 * abs(mean):
        close = f"its numbers lie {spread:.3g} around {mean:.6g}, too close for float32"
        raise at.wrong(close + ' to tell apart; subtract an offset, or call it a "time"')


def vectors(values: pa.ChunkedArray, at: Place) -> Values:
    """Lists of floats, all of one width -> (R, width)."""
    import pyarrow.compute as pc

    if not is_list(values.type):
        raise at.wrong(f"its vectors are {values.type}, not lists of numbers")
    at.refuse(nulls(values), "a null vector")
    widths = pc.list_value_length(values).to_numpy()
    width = int(widths[0]) if len(widths) else 0
    at.refuse(widths != width, lambda i: f"a vector of {widths[i]} numbers, others have {width}")
    floats = _floats(pc.list_flatten(values), at).reshape(len(widths), width)
    at.refuse(~np.isfinite(floats).all(axis=1), "a vector with a number that is not finite")
    return Values(torch.from_numpy(floats), at)


def ids(values: pa.ChunkedArray, at: Place, unknown: bool = False) -> Values:
    """Integers (R,), or strings as codes of words; null is allowed where ids may be unknown."""
    import pyarrow as pa

    if not unknown:
        at.refuse(nulls(values), "null, where unknown ids are not allowed")
    if _is_text(values.type):
        return words(values, at)
    if not (pa.types.is_integer(values.type) or _is_trivial(values.type)):
        raise at.wrong(f"it is {values.type}; ids are integers or strings")
    try:
        whole = values.cast(pa.int64()).fill_null(NULL)
    except pa.ArrowInvalid as error:
        raise at.wrong("an id above 2^63 - 1, the largest int64") from error
    return Values(torch.from_numpy(np.array(whole.to_numpy())), at)


def words(values: pa.ChunkedArray, at: Place) -> Values:
    """Integers, booleans or strings -> (R,) codes of the words found."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if not (pa.types.is_integer(values.type) or _is_text(values.type) or _is_trivial(values.type)):
        raise at.wrong(f"it is {values.type}; labels are integers, booleans or strings")
    coded = pc.dictionary_encode(values).unify_dictionaries().combine_chunks()
    codes = coded.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    return Values(torch.from_numpy(np.array(codes)), at, tuple(coded.dictionary.to_pylist()))


def labels(values: pa.ChunkedArray, at: Place) -> Values:
    """The words of a classification; none is missing."""
    at.refuse(nulls(values), "a null label")
    return words(values, at)


def targets(values: pa.ChunkedArray, at: Place) -> Values:
    """The numbers of a regression: (R,) or (R, width)."""
    return vectors(values, at) if is_list(values.type) else numbers(values, at)


def times(values: pa.ChunkedArray, at: Place) -> Values:
    """Times (R,) in float64, timestamps and durations in seconds."""
    import pyarrow as pa

    kind = values.type
    if pa.types.is_date(kind):
        values, kind = values.cast(pa.timestamp("s")), pa.timestamp("s")
    scale = 1
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        values, scale = values.cast(pa.int64()), UNITS[kind.unit]
    found = _floats(values, at, np.float64) / scale
    at.refuse(~np.isfinite(found), "a time that is missing or not finite")
    return Values(torch.from_numpy(found), at)


def reader(own: Any) -> Read:
    """What reads the values that a column of the TOML file speaks of."""
    if isinstance(own, NumericSpec):
        return lambda values, at: numbers(
            values, at, own.missing == "flag", '; missing = "flag" allows it'
        )
    if isinstance(own, IdsSpec):
        return lambda values, at: ids(values, at, own.reads_unknown)
    return READERS[own.kind]


READERS: dict[str, Read] = {
    "vector": vectors,
    "time": times,
    "classification": labels,
    "regression": targets,
}


def join(parts: Sequence[Values], at: Place) -> Values:
    """The values of several files, end to end; those that hold any agree in width and in kind."""
    telling = [part for part in parts if len(part.data) and not part.silent] or list(parts[:1])
    kinds = {(part.data.shape[1:], *map(type, (part.words or ())[:1])) for part in telling}
    if len(kinds) > 1:
        raise at.wrong(
            f"its values differ in width or type from those of {telling[-1].at.files[0][0]}"
        )
    like = telling[0]
    if like.words is None:
        return Values(torch.cat([_filled(part, like, NULL) for part in parts]), at)
    every = tuple(dict.fromkeys(word for part in telling for word in part.words or ()))
    code = {word: i for i, word in enumerate(every)}
    return Values(torch.cat([_recoded(part, like, code) for part in parts]), at, every)


def _recoded(part: Values, like: Values, code: Mapping[Any, int]) -> Tensor:
    """The codes that a part's words have among the words of all parts."""
    table = torch.tensor([*(code[word] for word in part.words or ()), -1])
    return table[_filled(part, like, -1)]


def _filled(part: Values, like: Values, null: int) -> Tensor:
    """The part's data; where it holds no value, as many nulls of the others' kind."""
    if len(part.data) and not part.silent:
        return part.data
    return like.data.new_full((len(part.data), *like.data.shape[1:]), null)


def is_list(kind: pa.DataType) -> bool:
    """Whether values of the type are lists of any sort."""
    import pyarrow as pa

    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def nulls(values: pa.ChunkedArray) -> np.ndarray:
    """(R,) where values are null."""
    return np.asarray(values.is_null().to_numpy(), dtype=bool)


def _floats(values: pa.ChunkedArray, at: Place, dtype: type = np.float32) -> np.ndarray:
    """(R,) of the dtype; null is NaN."""
    import pyarrow as pa

    types, kind = pa.types, values.type
    number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    if not (number or _is_trivial(kind)):
        raise at.wrong(f"it is {kind}, not numbers")
    return np.array(values.cast(pa.from_numpy_dtype(dtype), safe=False).to_numpy(), dtype=dtype)


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    own = kind.value_type if pa.types.is_dictionary(kind) else kind
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(is_text(own) for is_text in texts)


def _is_trivial(kind: pa.DataType) -> bool:
    """Booleans; and the type of a column that holds nothing at all."""
    import pyarrow as pa

    return bool(pa.types.is_boolean(kind) or pa.types.is_null(kind))
