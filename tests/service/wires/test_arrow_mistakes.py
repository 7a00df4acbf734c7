from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.errors import BadRequest
from service.manifest import IdsColumn, NumericColumn, TimeColumn, VectorColumn
from service.wires import arrow_stream
from service.wires.validation import Limits
from tests.service.fakes import manifest
from tests.service.wires.arrow import (
    EVERY,
    ROWS,
    WIDE,
    at_hand,
    from_arrow,
    from_json,
    stream,
    table,
)


def changed(row: int, **values: Any) -> list[Any]:
    return [{**own, **values} if i == row else own for i, own in enumerate(ROWS)]


SAME: dict[str, list[Any]] = {
    "a column is missing": [{k: v for k, v in row.items() if k != "a"} for row in ROWS],
    "a column is unknown": [{**row, "z": 1} for row in ROWS],
    "lengths differ": changed(2, a=[1.0, 2.0]),
    "a width": changed(2, x=[[5, 6, 7]]),
    "a width of context": changed(1, v=[1]),
    "infinite": changed(0, x=[[1, 2], [3, 1e39]]),
    "a null in a vector": changed(0, x=[[1, 2], [None, 4]]),
    "a null vector": changed(0, x=[[1, 2], None]),
    "a null vector of context": changed(1, v=None),
    "a null list": changed(1, x=None),
    "a null time": changed(0, t=[None, 8]),
    "a null word": changed(2, k=[None]),
    "a number of float32": changed(0, a=[1e39, 0]),
    "a word": changed(2, k=["blue"]),
    "too long": changed(2, x=[[1, 2]] * 51, a=[0] * 51, k=["red"] * 51, t=[0] * 51),
}


@pytest.mark.parametrize("mistake", SAME)
def test_the_same_mistake_gets_the_same_sentence_as_in_json(mistake: str) -> None:
    rows = SAME[mistake]
    with pytest.raises(BadRequest) as wanted:
        from_json(rows)
    found = table(rows, x=WIDE["x"])
    for read in (from_arrow, at_hand):
        with pytest.raises(BadRequest) as error:
            read(found)
        assert str(error.value) == str(wanted.value)


@pytest.mark.parametrize(
    ("column", "sequences", "kind"),
    [
        (IdsColumn(name="x", low=0, high=5), [[1], [0, 6]], pa.int64()),
        (IdsColumn(name="x", low=0, high=5), [[1], [None]], pa.int64()),
        (IdsColumn(name="x", low=0, high=5), [["a"]], pa.string()),
        (IdsColumn(name="x", low=0, high=5), [[], [1.5]], pa.float64()),
        (IdsColumn(name="x", low=0, high=5), [[2**63]], pa.uint64()),
        (NumericColumn(name="x"), [["a"]], pa.string()),
        (NumericColumn(name="x"), [[1.0], [None]], pa.float64()),
        (NumericColumn(name="x"), [[[1.0]]], pa.list_(pa.float64())),
        (VectorColumn(name="x", width=2), [[["a", "b"]]], pa.list_(pa.string())),
        (TimeColumn(name="x"), [["a"]], pa.string()),
    ],
)
def test_so_does_a_wrong_value(column: Any, sequences: list[Any], kind: pa.DataType) -> None:
    of = manifest("one").model_copy(update={"columns": (column,)})
    with pytest.raises(BadRequest) as wanted:
        from_json(sequences, of)
    with pytest.raises(BadRequest) as error:
        from_arrow(pa.table({"x": pa.array(sequences, pa.list_(kind))}), of)
    assert str(error.value) == str(wanted.value)


@pytest.mark.parametrize("value", [5, 1.5, "a", True, None])
def test_a_column_without_lists_gets_the_sentence_of_json(value: Any) -> None:
    of = manifest("one").model_copy(update={"columns": (NumericColumn(name="x"),)})
    with pytest.raises(BadRequest) as wanted:
        from_json([value], of)
    with pytest.raises(BadRequest) as error:
        from_arrow(pa.table({"x": pa.array([value])}), of)
    assert str(error.value) == str(wanted.value)


def test_too_many_tokens_sequences_and_columns_are_refused() -> None:
    few = Limits(tokens=2, sequences=100)
    with pytest.raises(BadRequest, match="tokens, the limit is 2 per request"):
        from_arrow(table(), limits=few)
    with pytest.raises(BadRequest, match="3 sequences, the limit is 2"):
        from_arrow(table(), limits=Limits(tokens=100, sequences=2))
    with pytest.raises(BadRequest, match="6 columns, the limit is 5"):
        from_arrow(table(), columns=5)
    twice = pa.Table.from_arrays([table()["a"]] * 2, ["a", "a"])
    with pytest.raises(BadRequest, match="two columns 'a'"):
        from_arrow(twice)


TYPES = {
    "list<struct<int64>>; numbers": pa.array([[{"a": 1}]]),
    "list<timestamp>; numbers": pa.array([[0]], pa.list_(pa.timestamp("s"))),
    "list<binary>; numbers": pa.array([[b"a"]]),
    "list<map<struct<utf8, int64>>>; ": pa.array([[[("a", 1)]]], pa.list_(pa.map_("str", "i8"))),
    "list<list<list<int64>>>; ": pa.array([[[[1]]]]),
    "list<decimal>; ": pa.array([[1]], pa.list_(pa.decimal256(50, 1))),
    "list<time>; ": pa.array([[1]], pa.list_(pa.time32("s"))),
}


@pytest.mark.parametrize("said", TYPES)
def test_a_type_that_cannot_serve_is_named(said: str) -> None:
    of = manifest("one").model_copy(update={"columns": (NumericColumn(name="x"),)})
    for read in (from_arrow, at_hand):
        with pytest.raises(BadRequest) as error:
            read(pa.table({"x": TYPES[said]}), of)
        inner = said.removeprefix("list<").replace(">; ", "; ")
        assert str(error.value).startswith(f"x: its values are {inner}")


def test_a_type_that_is_no_list_is_named() -> None:
    of = manifest("one").model_copy(update={"columns": (NumericColumn(name="x"),)})
    views = pa.array([[1]], pa.list_view(pa.int64()))
    for array in (views, pa.array([0], pa.timestamp("s"))):
        with pytest.raises(BadRequest, match=r"^x: its type is .*; a list of tokens is needed"):
            from_arrow(pa.table({"x": array}), of)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "does not start with a schema"),
        (b"[[1, 2]]", "no message where one should begin"),
        (b"ARROW1\0\0", "it is a file"),
        (stream(table())[:100], "cut short"),
        (stream(table())[:-100], "cut short"),
        (stream(table(), compression="zstd"), "compressed"),
        (stream(table())[stream(table()).find(b"\xff\xff\xff\xff", 4) :], "start with a schema"),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7f" + bytes(64), "cut short"),
        (b"\xff\xff\xff\xff\x40\0\0\0" + b"\xff" * 64, "does not hold together"),
    ],
)
def test_a_body_that_is_no_stream_is_refused_in_one_line(body: bytes, why: str) -> None:
    with pytest.raises(BadRequest, match=f"not a readable Arrow stream: .*{why}") as error:
        from_arrow(body)
    assert "\n" not in str(error.value)


def test_batches_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_stream, "MOST_MESSAGES", 10)
    body = stream(table()[:1])
    at = body.find(b"\xff\xff\xff\xff", 4)
    schema, batch = body[:at], body[at:-8]
    assert len(from_arrow(schema + 3 * batch).lengths) == 3
    with pytest.raises(BadRequest, match="more than 10 messages"):
        from_arrow(schema + 10 * batch)


OFFSETS, BUFFER = struct.pack("<4i", 0, 2, 2, 3), struct.pack("<qq", 0, 16)
NODES = struct.pack("<4q", 3, 0, 3, 0)  # of the lists, and of what is in them
HOSTILE = {
    "offsets that descend": (OFFSETS, struct.pack("<4i", 0, 2, 1, 3), "offsets descend"),
    "offsets below zero": (OFFSETS, struct.pack("<4i", -9, 2, 2, 3), "offsets descend"),
    "offsets past the values": (OFFSETS, struct.pack("<4i", 0, 2, 2, 900), "leave its values"),
    "fewer values than bytes": (NODES, struct.pack("<4q", 3, 0, 2, 0), "leave its values"),
    "a buffer of less than nothing": (BUFFER, struct.pack("<qq", 16, -1), "not in its message"),
    "a buffer before the body": (BUFFER, struct.pack("<qq", -32, 16), "not in its message"),
    "a buffer beyond the body": (BUFFER, struct.pack("<qq", 2**62, 2**62), "not in its message"),
    "a buffer that is too short": (BUFFER, struct.pack("<qq", 0, 8), "shorter than its lengths"),
    "more rows than bytes": (NODES, struct.pack("<4q", 2**60, 0, 3, 0), "more values than bytes"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_claims_that_are_not_true_are_refused(name: str) -> None:
    of = manifest("one").model_copy(update={"columns": (NumericColumn(name="x"),)})
    body = stream(pa.table({"x": pa.array([[1, 2], [], [3]])}))
    true, false, why = HOSTILE[name]
    assert true in body
    with pytest.raises(BadRequest, match=f"^(x|the body is not .*stream): .*{why}"):
        from_arrow(body.replace(true, false), of)


def test_so_are_those_of_words() -> None:
    of = manifest("one").model_copy(
        update={"columns": (IdsColumn(name="x", low=0, high=0, labels=("a",), unknown=True),)}
    )
    body = stream(pa.table({"x": pa.array([["aaaa", "aaa", "aa"]])}))
    true = struct.pack("<4i", 0, 4, 7, 9)
    assert true in body
    for false in ((-4, 4, 7, 9), (0, 7, 4, 9), (0, 4, 7, 90)):
        with pytest.raises(BadRequest, match=r"^x: its "):
            from_arrow(body.replace(true, struct.pack("<4i", *false)), of)


def test_views_that_share_without_end_are_not_unpacked() -> None:
    of = manifest("one").model_copy(
        update={"columns": (IdsColumn(name="x", low=0, high=0, labels=("a",), unknown=True),)}
    )
    words = ["b" * 1000, *["c"] * 499]
    body = bytearray(stream(pa.table({"x": pa.array([words], pa.list_(pa.string_view()))})))
    first = body.find(struct.pack("<i4sii", 1000, b"bbbb", 0, 0))
    for i in range(500):
        body[first + 16 * i : first + 16 * i + 16] = struct.pack("<i4sii", 900 - i, b"bbbb", 0, i)
    with pytest.raises(BadRequest, match="x: its views overlap"):
        from_arrow(bytes(body), of)


BODIES = [
    stream(table()),
    stream(table(ROWS, k=pa.list_(pa.string_view()), x=pa.large_list(pa.list_(pa.float64())))),
    stream(table(ROWS, k=pa.list_(pa.dictionary(pa.int8(), pa.string())))),
]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(BODIES),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
    st.floats(0, 1),
)
@example(BODIES[0], [], 1.0)
def test_whatever_bytes_come_a_pack_or_one_sentence_results(
    body: bytes, flips: list[tuple[float, int]], cut: float
) -> None:
    hurt = bytearray(body)
    for place, value in flips:
        hurt[int(place * len(hurt))] = value
    hurt = hurt[: int(cut * len(hurt))] if cut < 0.5 else hurt
    with suppress(BadRequest):
        pack = from_arrow(bytes(hurt))
        assert all(np.isfinite(pack.columns[name]).all() for name in "xt")
        assert {column.name for column in EVERY.columns} == set(pack.columns)
