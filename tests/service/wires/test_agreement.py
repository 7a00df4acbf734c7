"""One validator, many wires: the same input is the same pack, bit for bit, or the same sentence."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import BadRequest
from service.manifest import Manifest
from service.pack import Array, Pack
from service.rpc import wire as rpc
from service.wires.arrow_sequences import ArrowSequences
from service.wires.validation import Limits, admit
from tests.service.fakes import EVENTS
from tests.service.rpc.asking import infer_request
from tests.service.wires import oip
from tests.service.wires.test_json_sequences import pack as json_pack

Rows = list[dict[str, Any]]
LIMITS = Limits(tokens=40, sequences=6)
OF: Manifest = EVENTS.model_copy(update={"max_length": 12})
TYPES = {
    "amount": pa.list_(pa.float64()),
    "kind": pa.list_(pa.string()),
    "code": pa.list_(pa.int64()),
    "time": pa.list_(pa.float64()),
    "where": pa.list_(pa.list_(pa.float64())),
    "age": pa.float64(),
    "land": pa.string(),
    "home": pa.list_(pa.float64()),
}
DTYPES = {"kind": object, "land": object, "code": np.int64}


def from_json(rows: Rows) -> Pack:
    return json_pack(json.dumps({"sequences": rows}), OF, LIMITS)


def from_arrow(rows: Rows) -> Pack:
    names = rows[0] if rows else TYPES
    fields = {name: TYPES.get(name, pa.float64()) for name in names}
    table = pa.table({n: pa.array([row[n] for row in rows], kind) for n, kind in fields.items()})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return admit(ArrowSequences.read(sink.getvalue(), OF, LIMITS), OF, LIMITS)


def tensors(rows: Rows) -> dict[str, Array]:
    """Columns end to end, and lengths."""
    found: dict[str, Array] = {}
    for name in rows[0]:
        whole = [row[name] for row in rows]
        values = whole if name in ("age", "land", "home", "more") else list(chain(*whole))
        shape = (len(values), 2) if name in ("where", "home") and not values else None
        array = np.array(values, DTYPES.get(name, np.float64))
        found[name] = array.reshape(shape) if shape else array
    found["lengths"] = np.array([len(row["amount"]) for row in rows])
    return found


def from_oip_binary(rows: Rows) -> Pack:
    return oip.pack(*oip.as_binary(tensors(rows)), OF, LIMITS)


def from_oip_json(rows: Rows) -> Pack:
    return oip.pack(oip.as_json(tensors(rows)), None, OF, LIMITS)


def from_grpc(rows: Rows, raw: bool = True) -> Pack:
    body = infer_request(tensors(rows), raw).SerializeToString()
    return rpc.infer(body, {}, OF, LIMITS).pack


def from_grpc_listed(rows: Rows) -> Pack:
    return from_grpc(rows, raw=False)


WIRES: dict[str, Callable[[Rows], Pack]] = {
    "arrow": from_arrow,
    "oip json": from_oip_json,
    "oip binary": from_oip_binary,
    "grpc raw": from_grpc,
    "grpc listed": from_grpc_listed,
}


def outcome(read: Callable[[Rows], Pack], rows: Rows) -> Pack | str:
    try:
        return read(rows)
    except BadRequest as error:
        return str(error)


def assert_same(found: Pack | str, wanted: Pack | str) -> None:
    if isinstance(found, str) or isinstance(wanted, str):
        assert found == wanted
        return
    assert found.lengths.tolist() == wanted.lengths.tolist()
    for name in OF.columns:
        a, b = found.columns[name.name], wanted.columns[name.name]
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    for own in OF.context:
        a, b = found.context[own.name], wanted.context[own.name]
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)  # some are too large for float32
USUAL = st.floats(-1e6, 1e6)


@st.composite
def rows(draw: st.DrawFn) -> Rows:
    """Sequences of every kind of column; now and then something is out of range."""
    numbers = draw(st.sampled_from([USUAL, USUAL, NUMBERS]))
    codes = draw(st.sampled_from([st.integers(-1, 1), st.integers(-3, 3)]))
    found = []
    for _ in range(draw(st.integers(1, 7))):
        n = draw(st.integers(0, 13))
        pair = st.lists(numbers, min_size=2, max_size=2)
        found.append(
            {
                "amount": draw(st.lists(numbers, min_size=n, max_size=n)),
                "kind": draw(st.lists(st.sampled_from(["buy", "xx"]), min_size=n, max_size=n)),
                "code": draw(st.lists(codes, min_size=n, max_size=n)),
                "time": draw(st.lists(numbers, min_size=n, max_size=n)),
                "where": draw(st.lists(pair, min_size=n, max_size=n)),
                "age": draw(numbers),
                "land": draw(st.sampled_from(["ch", "pt", "pt", "pt", "xx"])),
                "home": draw(pair),
            }
        )
    return found


@pytest.mark.parametrize("wire", WIRES)
@settings(max_examples=150, deadline=None)
@given(rows())
def test_every_wire_reads_what_json_reads(wire: str, drawn: Rows) -> None:
    assert_same(outcome(WIRES[wire], drawn), outcome(from_json, drawn))


ROW: dict[str, Any] = {
    "amount": [1.0, 2.0],
    "kind": ["buy", "sell"],
    "code": [0, 1],
    "time": [3.0, 4.0],
    "where": [[1.0, 2.0], [3.0, 4.0]],
    "age": 5.0,
    "land": "ch",
    "home": [6.0, 7.0],
}


def without(name: str) -> Rows:
    return [{key: value for key, value in ROW.items() if key != name}] * 2


def longest(n: int) -> dict[str, Any]:
    return {key: value * n if isinstance(value, list) else value for key, value in ROW.items()}


MISTAKES: dict[str, Rows] = {
    "column 'age' is missing": without("age"),
    "unknown column 'more'; this model reads amount": [ROW | {"more": 1.0}] * 2,
    "sequence 1: 14 tokens, the maximum is 12": [ROW, longest(7) | {"home": [6.0, 7.0]}],
    "7 sequences, the limit is 6": [ROW] * 7,
    "48 tokens, the limit is 40": [longest(6) | {"home": [6.0, 7.0]}] * 4,
    "code[1][0]: id 2 is outside -1..1": [ROW, ROW | {"code": [2, 0]}],
    "land[1]: 'xx' is none of its labels": [ROW, ROW | {"land": "xx"}],
    "age[1]: must be a finite float32 number": [ROW, ROW | {"age": 1e300}],
    "where[1][1][0]: must be a finite float32": [ROW, ROW | {"where": [[1.0, 2.0], [1e39, 0.0]]}],
    "where[0][0]: 3 numbers, the width is 2": [ROW | {"where": [[1.0, 2.0, 3.0]] * 2}] * 2,
    "home[0]: 1 numbers, the width is 2": [ROW | {"home": [1.0]}] * 2,
}


@pytest.mark.parametrize("sentence", MISTAKES)
def test_every_wire_has_the_same_sentence_for_a_mistake(sentence: str) -> None:
    wanted = outcome(from_json, MISTAKES[sentence])
    assert isinstance(wanted, str)
    assert wanted.startswith(sentence)
    for read in WIRES.values():
        assert outcome(read, MISTAKES[sentence]) == wanted
