"""What an Arrow stream claims and does not have: refused before anything is made of it."""

from __future__ import annotations

import struct
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pytest

from service.errors import BadRequest
from service.manifest import IdsColumn, NumericColumn, VectorColumn
from service.wires.validation import Limits
from tests.service.fakes import manifest
from tests.service.wires.arrow import EVERY, ROWS, from_arrow, from_json, stream, table

EXTREMES = (-1, 0, 1, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63), 2**40)
MIB = 2**20


@contextmanager
def cheaply(seconds: float = 20, most: int = 64 * MIB) -> Iterator[None]:
    """What is done inside takes little time and memory."""
    tracemalloc.start()
    started = time.perf_counter()
    try:
        yield
        assert time.perf_counter() - started < seconds
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def wide(batches: int, rows: int) -> bytes:
    """Lists of no numbers, which take no bytes; as many as the schema's metadata makes room for."""
    kind = pa.list_(pa.float32(), 0)
    none = pa.array([], pa.float32())
    lists = pa.FixedSizeListArray.from_buffers(kind, rows, [None], children=[none])
    schema = pa.schema([pa.field("x", kind)], metadata={"room": b"\0" * rows})
    return stream(
        pa.Table.from_batches([pa.record_batch([lists], schema=schema)] * batches, schema)
    )


def test_rows_that_take_no_bytes_are_counted_before_they_are_made() -> None:
    body = wide(60, MIB)
    with cheaply(), pytest.raises(BadRequest, match="sequences, the limit is 100"):
        from_arrow(body, manifest("m", width=2))


def test_nulls_that_take_no_bytes_are_counted_before_they_are_made() -> None:
    values = pa.FixedSizeListArray.from_arrays(pa.nulls(50 * MIB), 50 * MIB)
    schema = pa.schema([pa.field("x", values.type)], metadata={"room": b"\0" * 7 * MIB})
    body = stream(pa.table([values], schema=schema))
    with cheaply(), pytest.raises(BadRequest):
        from_arrow(body, manifest("m", width=2))


def test_many_columns_are_refused_before_they_are_read() -> None:
    many = pa.table({f"c{i}": [i] for i in range(20_000)})
    body = stream(many)
    with cheaply(), pytest.raises(BadRequest, match="20000 columns, the limit is 20"):
        from_arrow(body, limits=Limits(100, 100, tensors=20))


def test_a_type_of_many_parts_is_refused_in_a_short_sentence() -> None:
    for parts in (100, 20_000):
        own = pa.struct([pa.field(f"p{i}", pa.null()) for i in range(parts)])
        body = stream(pa.table({"x": pa.array([None], own)}))
        with cheaply(), pytest.raises(BadRequest) as caught:
            from_arrow(body, manifest("m", width=2))
        assert len(str(caught.value)) < 300


def test_a_long_name_is_refused_in_a_short_sentence() -> None:
    with pytest.raises(BadRequest) as caught:
        from_arrow(stream(pa.table({"n" * 100_000: [1]})))
    assert len(str(caught.value)) < 300


def bodies() -> list[bytes]:
    """Streams with every kind of buffer: views and dictionaries too."""
    views = table(ROWS, k=pa.list_(pa.string_view()))
    coded = table(ROWS, k=pa.list_(pa.dictionary(pa.int8(), pa.string())))
    return [stream(views), stream(coded), stream(table(ROWS))]


@pytest.mark.parametrize("which", range(3))
def test_any_number_may_be_a_lie(which: int) -> None:
    """Each 4 and 8 bytes of a stream set to an extreme: a pack, or a sentence."""
    body, said = bodies()[which], [""]
    for size, form in ((4, "<i"), (8, "<q")):
        for at in range(0, len(body) - size, size):
            for extreme in (
                e for e in EXTREMES if -(2 ** (8 * size - 1)) <= e < 2 ** (8 * size - 1)
            ):
                lie = struct.pack(form, extreme)
                said.append(outcome(body[:at] + lie + body[at + size :]))
    assert max(map(len, said)) < 300


def outcome(body: bytes) -> str:
    """What is said of a stream; nothing of one that can be read."""
    try:
        from_arrow(body)
    except BadRequest as error:
        return str(error)
    return ""


STRINGS: list[tuple[Any, pa.DataType, Any]] = [
    (NumericColumn(name="x", missing=True), pa.list_(pa.string()), [["1.5", None]]),
    (NumericColumn(name="x"), pa.list_(pa.string()), [["1.5", None]]),
    (
        NumericColumn(name="x", missing=True),
        pa.list_(pa.dictionary(pa.int8(), pa.string())),
        [["1", None]],
    ),
    (IdsColumn(name="x", low=0, high=9, unknown=True), pa.list_(pa.string()), [["1", None]]),
    (VectorColumn(name="x", width=2), pa.list_(pa.list_(pa.string())), [[["1", None]]]),
    (VectorColumn(name="x", width=2), pa.list_(pa.string()), [["1", None]]),
]


@pytest.mark.parametrize(("column", "kind", "rows"), STRINGS)
def test_strings_beside_nulls_are_no_numbers(column: Any, kind: pa.DataType, rows: Any) -> None:
    of = manifest("m").model_copy(update={"columns": (column,)})
    plain = pa.list_(pa.string()) if pa.types.is_dictionary(kind.value_type) else kind
    body = stream(pa.table({"x": pa.array(rows, plain).cast(kind)}))
    with pytest.raises(BadRequest) as wanted:
        from_json(rows, of)
    with pytest.raises(BadRequest) as found:
        from_arrow(body, of)
    assert str(found.value) == str(wanted.value)
    assert "not a string" in str(wanted.value)


def test_what_is_true_is_still_read() -> None:
    assert from_arrow(bodies()[0], EVERY).lengths.tolist() == [2, 0, 1]
