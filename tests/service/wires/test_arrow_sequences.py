from __future__ import annotations

import datetime
import io

import awkward as ak
import duckdb
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.columns import Column
from service.errors import BadRequest
from service.manifest import IdsColumn, Manifest, NumericColumn, TimeColumn, VectorColumn
from service.wires.arrow_sequences import ArrowSequences
from tests.service.fakes import manifest
from tests.service.wires.arrow import (
    EVERY,
    LABELS,
    ROWS,
    assert_same,
    at_hand,
    from_arrow,
    from_json,
    stream,
    table,
)

WANTED = from_json(ROWS)


def one(column: Column) -> Manifest:
    return manifest("one").model_copy(update={"columns": (column,)})


VECTORS, NUMBERS = one(VectorColumn(name="x", width=2)), one(NumericColumn(name="x"))
TIMES, IDS = one(TimeColumn(name="x")), one(IdsColumn(name="x", low=0, high=200))
WORDS = one(IdsColumn(name="x", low=0, high=2, labels=LABELS, unknown=True))


def test_every_kind_of_column_is_what_json_says() -> None:
    assert_same(from_arrow(table()), WANTED)
    assert_same(at_hand(table()), WANTED)


LAYOUTS = {
    "large lists": {
        "x": pa.large_list(pa.list_(pa.float32())),
        "a": pa.large_list(pa.float32()),
        "k": pa.large_list(pa.large_string()),
        "v": pa.list_(pa.float64(), 2),
    },
    "views": {"k": pa.list_(pa.string_view()), "x": pa.list_(pa.large_list(pa.float64()))},
    "small numbers": {"x": pa.list_(pa.list_(pa.int8(), 2)), "a": pa.list_(pa.float16())},
    "decimals": {"a": pa.list_(pa.decimal128(20, 2)), "t": pa.list_(pa.decimal128(6, 2))},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_do_not_matter(layout: str) -> None:
    given_so = table(ROWS, **LAYOUTS[layout])
    assert_same(from_arrow(given_so), WANTED)
    assert_same(at_hand(given_so), WANTED)


def test_chunks_and_slices_do_not_matter() -> None:
    thrice = pa.concat_tables([table(), table(), table()]).combine_chunks()
    assert_same(from_arrow(pa.concat_tables([table(), table()[:0], table()])), from_json(ROWS * 2))
    for start, stop in ((0, 1), (1, 2), (2, 7), (3, 9)):
        part = thrice[start:stop]
        assert_same(from_arrow(part), from_json((ROWS * 3)[start:stop]))
        assert_same(at_hand(part), from_json((ROWS * 3)[start:stop]))
    cut = thrice.to_batches(max_chunksize=2)
    assert_same(at_hand(cut), from_json(ROWS * 3))
    whole = pa.StructArray.from_arrays(
        thrice.combine_chunks().to_batches()[0].columns, list("xaktgv")
    )
    assert_same(at_hand([whole[2:5]]), from_json((ROWS * 3)[2:5]))


def test_numbers_are_not_copied() -> None:
    values = np.arange(24, dtype=np.float32)
    vectors = pa.FixedSizeListArray.from_arrays(values, 2)
    x = pa.ListArray.from_arrays(pa.array([0, 5, 12], pa.int32()), vectors)
    assert np.shares_memory(at_hand(pa.table({"x": x}), VECTORS).columns["x"], values)
    body = stream(pa.table({"x": x}))
    found = from_arrow(body, VECTORS).columns["x"]
    assert np.shares_memory(found, np.frombuffer(body, np.uint8))


def test_polars_pandas_duckdb_and_awkward_are_read() -> None:
    rows = [[[1.0, 2.0], [3.0, 4.0]], [], [[5.0, 6.0]]]
    wanted = from_json(rows, VECTORS)
    sink = io.BytesIO()
    pl.DataFrame({"x": rows}).write_ipc_stream(sink)
    assert_same(from_arrow(sink.getvalue(), VECTORS), wanted)
    frame = pd.DataFrame({"x": rows})
    assert_same(from_arrow(pa.Table.from_pandas(frame), VECTORS), wanted)
    query = "select [[1, 2], [3, 4]]::float[2][] x union all select [] union all select [[5, 6]]"
    relation = duckdb.sql(query)
    assert relation is not None
    assert_same(from_arrow(relation.to_arrow_table(), VECTORS), wanted)
    for regular in (ak.Array(rows), ak.to_regular(ak.Array(rows[:1]), axis=2)):
        whole = pa.table({"x": ak.to_arrow(regular, extensionarray=True)})
        assert_same(from_arrow(whole, VECTORS), from_json(rows[: len(regular)], VECTORS))


def test_polars_words_and_categories_are_read() -> None:
    words = pl.DataFrame({"x": [["red", LABELS[2]], ["blue", None]]})
    wanted = from_json([["red", LABELS[2]], ["blue", None]], WORDS)
    for frame in (words, words.cast(pl.List(pl.Categorical))):
        sink = io.BytesIO()
        frame.write_ipc_stream(sink)
        assert_same(from_arrow(sink.getvalue(), WORDS), wanted)
        assert_same(at_hand(frame.to_arrow(), WORDS), wanted)


def test_dictionaries_are_decoded_null_entries_and_codes_included() -> None:
    codes = pa.array([0, None, 2, 1], pa.uint8())
    coded = pa.DictionaryArray.from_arrays(codes, pa.array(["gréen", None, "blue"]))
    x = pa.ListArray.from_arrays(pa.array([0, 3, 4], pa.int32()), coded)
    wanted = from_json([["gréen", None, "blue"], [None]], WORDS)
    assert_same(from_arrow(pa.table({"x": x}), WORDS), wanted)
    assert_same(at_hand(pa.table({"x": x}), WORDS), wanted)
    other = pa.table({"x": pa.ListArray.from_arrays([0, 1], pa.array(["red"]).dictionary_encode())})
    again = pa.table({"x": other["x"].cast(pa.list_(coded.type))})
    both = pa.concat_tables([pa.table({"x": x}), again])
    assert from_arrow(both, WORDS).columns["x"].tolist()[-1] == 0


def test_times_are_seconds_since_the_epoch() -> None:
    day = datetime.date(1970, 1, 3)
    for unit in ("s", "ms", "us", "ns"):
        scale = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
        for kind in (pa.timestamp(unit), pa.timestamp(unit, "UTC"), pa.duration(unit)):
            x = pa.table({"x": pa.array([[0, 7 * scale], [-scale]], pa.list_(kind))})
            assert from_arrow(x, TIMES).columns["x"].tolist() == [0, 7, -1]
    for kind in (pa.date32(), pa.date64()):
        x = pa.table({"x": pa.array([[day]], pa.list_(kind))})
        assert from_arrow(x, TIMES).columns["x"].tolist() == [2 * 86400]


@pytest.mark.parametrize("kind", ["u1", "i2", "u4", "i8", "u8", "f2", "f4", "f8", "?"])
def test_any_number_will_do(kind: str) -> None:
    values = np.array([0, 1, 1], kind)
    x = pa.ListArray.from_arrays(pa.array([0, 3], pa.int32()), pa.array(values))
    found = from_arrow(pa.table({"x": x}), NUMBERS).columns["x"]
    assert (found.dtype.name, found.tolist()) == ("float32", [0, 1, 1])
    if not kind.startswith("f"):
        assert from_arrow(pa.table({"x": x}), IDS).columns["x"].tolist() == [0, 1, 1]


def test_nulls_hide_what_lies_under_them() -> None:
    under = pa.array(np.array([2**64 - 1, 5], np.uint64), mask=np.array([True, False]))
    x = pa.ListArray.from_arrays(pa.array([0, 2], pa.int32()), under)
    known = one(IdsColumn(name="x", low=0, high=9, unknown=True))
    assert from_arrow(pa.table({"x": x}), known).columns["x"].tolist() == [10, 5]


def test_wide_decimals_keep_their_value() -> None:
    values = [["-0.25", "123456789012345678901234567.5"]]
    exact = pa.array(values).cast(pa.list_(pa.decimal128(38, 2)))
    found = from_arrow(pa.table({"x": exact}), TIMES).columns["x"]
    assert found.tolist() == [-0.25, 123456789012345678901234567.5]


SEQUENCES = st.lists(
    st.lists(
        st.tuples(
            st.lists(
                st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2, max_size=2
            ),
            st.none() | st.floats(-1e30, 1e30),
            st.sampled_from(LABELS),
            st.floats(-1e9, 1e9),
        ),
        max_size=5,
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(SEQUENCES, st.integers(1, 4), st.sampled_from(["", *LAYOUTS]))
def test_packs_equal_those_of_json_bit_for_bit(
    sequences: list[list[tuple[object, ...]]], chunk: int, layout: str
) -> None:
    columns = [[list(c) for c in zip(*s, strict=True)] or [[]] * 4 for s in sequences]
    rows = [dict(zip("xakt", c, strict=True), g=i, v=[i, 0.5]) for i, c in enumerate(columns)]
    types = LAYOUTS.get(layout, {}) if layout in ("large lists", "views") else {}
    types = {**types, "a": pa.list_(pa.float64()), "t": pa.list_(pa.float64())}
    given_so = table(rows, **types)
    wanted = from_json(rows)
    assert_same(from_arrow(stream(pa.Table.from_batches(given_so.to_batches(chunk)))), wanted)
    assert_same(at_hand(given_so.to_batches(chunk)), wanted)


def test_a_schema_without_batches_has_no_sequence() -> None:
    with pytest.raises(BadRequest, match="no sequence is given"):
        from_arrow(table()[:0])
    with pytest.raises(BadRequest, match="'x' is missing"):
        ArrowSequences.of([]) and at_hand([], EVERY)
