"""Every type in every kind of column, null or not, whole or damaged: a pack, or one sentence."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import BadRequest
from service.manifest import Column, IdsColumn, Manifest, NumericColumn, TimeColumn, VectorColumn
from service.pack import Pack
from service.wires.validation import Limits
from tests.service.fakes import manifest
from tests.service.wires.arrow import LABELS, assert_same, at_hand, from_arrow, from_json, stream

COLUMNS: dict[str, Column] = {
    "numbers": NumericColumn(name="x"),
    "numbers or none": NumericColumn(name="x", missing=True),
    "times": TimeColumn(name="x"),
    "ids": IdsColumn(name="x", low=0, high=9),
    "ids or none": IdsColumn(name="x", low=0, high=9, unknown=True),
    "words": IdsColumn(name="x", low=0, high=2, labels=LABELS, unknown=True),
    "vectors": VectorColumn(name="x", width=2),
}
TYPES: dict[str, tuple[pa.DataType, Any]] = {
    "null": (pa.null(), None),
    "bool": (pa.bool_(), True),
    "int8": (pa.int8(), 1),
    "uint64": (pa.uint64(), 2**64 - 1),
    "float16": (pa.float16(), 1.5),
    "float64": (pa.float64(), 1e300),
    "string": (pa.string(), "1.5"),
    "large string": (pa.large_string(), "red"),
    "view": (pa.string_view(), "a word that is too long to lie in its view"),
    "binary": (pa.binary(), b"1"),
    "fixed binary": (pa.binary(2), b"12"),
    "decimal": (pa.decimal128(5, 2), 1),
    "wide decimal": (pa.decimal256(50, 2), 1),
    "timestamp": (pa.timestamp("ns", "UTC"), 1),
    "date": (pa.date32(), 1),
    "time": (pa.time64("ns"), 1),
    "duration": (pa.duration("us"), 1),
    "coded words": (pa.dictionary(pa.int8(), pa.string()), "red"),
    "coded numbers": (pa.dictionary(pa.uint64(), pa.float32()), 1.5),
    "struct": (pa.struct([("a", pa.int8())]), {"a": 1}),
    "map": (pa.map_(pa.string(), pa.int8()), [("a", 1)]),
    "vector": (pa.list_(pa.float32()), [1.0, 2.0]),
    "fixed vector": (pa.list_(pa.float32(), 2), [1.0, 2.0]),
    "vector of nothing": (pa.list_(pa.float32(), 0), []),
    "vector of words": (pa.large_list(pa.string()), ["1", "2"]),
    "vector of a word": (pa.list_(pa.string()), [None, "2"]),
    "vector of codes": (pa.list_(pa.dictionary(pa.int8(), pa.string())), ["1", "2"]),
    "vector of nulls": (pa.list_(pa.null(), 2), [None, None]),
    "vector of bits": (pa.list_(pa.bool_(), 2), [True, None]),
    "deep vector": (pa.list_(pa.list_(pa.float32())), [[1.0], [2.0]]),
    "list view": (pa.list_view(pa.float32()), [1.0, 2.0]),
    "runs": (pa.run_end_encoded(pa.int32(), pa.float32()), 1.0),
}
NULLS: dict[str, Callable[[Any], list[Any]]] = {
    "no null": lambda value: [value, value, value],
    "a null": lambda value: [value, None, value],
    "a null first": lambda value: [None, value, value],
    "only nulls": lambda _: [None, None, None],
    "nothing": lambda _: [],
}
LIMITS = Limits(tokens=1000, sequences=100)
EXTREMES = (0, 1, -1, 2, 8, 16, 2**20, 2**31 - 1, -(2**31), 2**40, 2**63 - 1, -(2**63))


def of(column: Column) -> Manifest:
    return manifest("one").model_copy(update={"columns": (column,)})


def lists(kind: str, nulls: str) -> pa.Table:
    """Two sequences of values of the type, of which the second is empty."""
    own, value = TYPES[kind]
    values = pa.array(NULLS[nulls](value), own)
    offsets = pa.array([0, len(values), len(values)], pa.int32())
    return pa.table({"x": pa.ListArray.from_arrays(offsets, values)})


def outcome(read: Callable[..., Pack], given_so: Any, column: str) -> Pack | str:
    try:
        return read(given_so, of(COLUMNS[column]))
    except BadRequest as error:
        return str(error)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_stream_and_memory_are_read_as_one(column: str) -> None:
    for kind, nulls in product(TYPES, NULLS):
        table = lists(kind, nulls)
        found, other = (outcome(read, table, column) for read in (from_arrow, at_hand))
        if isinstance(found, str) or isinstance(other, str):
            assert found == other
            assert len(str(found)) < 300
        else:
            assert_same(found, other)


SAME = [kind for kind in TYPES if kind.startswith(("vector", "coded w", "string", "large"))]
SAME += ["null", "bool", "int8", "float64", "view", "fixed vector"]


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("kind", SAME)
def test_what_json_has_too_is_read_as_there(column: str, kind: str) -> None:
    for nulls in NULLS:
        found = outcome(from_arrow, lists(kind, nulls), column)
        wanted = outcome(from_json, [NULLS[nulls](TYPES[kind][1]), []], column)
        if isinstance(found, str) or isinstance(wanted, str):
            assert found == wanted, nulls
        else:
            assert_same(found, wanted)


def test_a_signalling_nan_beside_a_null_is_a_number_that_is_not_finite() -> None:
    numbers = np.array([0x7F800001, 0], np.uint32).view(np.float32)
    values = pa.array(numbers, mask=np.array([False, True]))
    vectors = pa.FixedSizeListArray.from_arrays(values, 2)
    table = pa.table({"x": pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), vectors)})
    said = outcome(from_arrow, table, "vectors")
    assert said == "x[0][0][0]: must be a finite float32 number"


def test_lists_of_a_fixed_size_of_0_are_no_sequences() -> None:
    table = pa.table({"x": pa.array([[], []], pa.list_(pa.float32(), 0))})
    for read in (from_arrow, at_hand):
        assert outcome(read, table, "numbers") == "x: its lists have a fixed size of 0"


BODIES = [
    (column, stream(lists(kind, nulls)))
    for column, kind, nulls in product(COLUMNS, TYPES, ("no null", "a null"))
]


@settings(max_examples=1500, deadline=None)
@given(
    st.sampled_from(BODIES),
    st.lists(
        st.tuples(
            st.floats(0, 1, exclude_max=True),
            st.sampled_from("bhiq"),
            st.sampled_from(EXTREMES) | st.integers(-40, 400),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_any_numbers_of_any_kind_may_be_lies(
    body: tuple[str, bytes], lies: list[tuple[float, str, int]]
) -> None:
    hurt = bytearray(body[1])
    for place, form, value in lies:
        size = struct.calcsize(form)
        at = int(place * len(hurt)) // size * size
        hurt[at : at + size] = (value % 2 ** (8 * size)).to_bytes(size, "little")
    said = outcome(from_arrow, bytes(hurt), body[0])
    assert not isinstance(said, str) or len(said) < 300
