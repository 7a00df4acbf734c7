"""A manifest with every kind of column, and requests for it as Arrow tables and as JSON."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from service.manifest import IdsColumn, Manifest, NumericColumn, TimeColumn, VectorColumn
from service.pack import Pack
from service.wires.arrow_sequences import ArrowSequences
from service.wires.document import Document
from service.wires.json_sequences import JsonSequences
from service.wires.validation import Limits, admit
from tests.service.fakes import manifest

LIMITS = Limits(tokens=1000, sequences=100)
LABELS = ("red", "gréen", "a label longer than its view")
EVERY = manifest("every", lengths=(0, 50)).model_copy(
    update={
        "columns": (
            VectorColumn(name="x", width=2),
            NumericColumn(name="a", missing=True),
            IdsColumn(name="k", low=1, high=3, labels=LABELS),
            TimeColumn(name="t"),
        ),
        "context": (
            IdsColumn(name="g", low=0, high=9, unknown=True),
            VectorColumn(name="v", width=2),
        ),
    }
)
TYPES: dict[str, pa.DataType] = {
    "x": pa.list_(pa.list_(pa.float32(), 2)),
    "a": pa.list_(pa.float64()),
    "k": pa.list_(pa.string()),
    "t": pa.list_(pa.float64()),
    "g": pa.int64(),
    "v": pa.list_(pa.float32()),
}
WIDE = {**TYPES, "x": pa.list_(pa.list_(pa.float64())), "z": pa.int64()}
ROWS: list[dict[str, Any]] = [
    {
        "x": [[1, 2], [3, 4]],
        "a": [0.5, None],
        "k": ["red", LABELS[2]],
        "t": [7, 8.5],
        "g": 3,
        "v": [1, 2],
    },
    {"x": [], "a": [], "k": [], "t": [], "g": None, "v": [3, 4]},
    {"x": [[5, 6]], "a": [1.5], "k": ["gréen"], "t": [9], "g": 77, "v": [5, 6]},
]


def table(rows: list[dict[str, Any]] = ROWS, **types: pa.DataType) -> pa.Table:
    """The rows, with other types for some columns; only the columns of the first row."""
    plain = pa.table({n: pa.array([r[n] for r in rows], WIDE[n]) for n in rows[0]})
    kinds = {**WIDE, **TYPES, **types}
    return plain.cast(pa.schema([pa.field(name, kinds[name]) for name in rows[0]]))


def stream(of: pa.Table, **options: Any) -> bytes:
    """An IPC stream."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, of.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(of)
    return sink.getvalue()


def from_arrow(
    body: bytes | pa.Table, of: Manifest = EVERY, limits: Limits = LIMITS, columns: int = 20
) -> Pack:
    """What a stream says."""
    body = body if isinstance(body, bytes) else stream(body)
    limits = replace(limits, tensors=columns)
    return admit(ArrowSequences.read(body, of, limits), of, limits)


def at_hand(of: pa.Table | list[Any], manifest: Manifest = EVERY) -> Pack:
    """What batches in memory say."""
    batches = of if isinstance(of, list) else of.to_batches()
    return admit(ArrowSequences.of(batches), manifest, LIMITS)


def from_json(rows: list[Any], of: Manifest = EVERY, limits: Limits = LIMITS) -> Pack:
    """What the same rows say as JSON."""
    body = json.dumps({"sequences": rows}).encode()
    return admit(JsonSequences(Document(body, 64), of, limits), of, limits)


def assert_same(found: Pack, wanted: Pack) -> None:
    """To the last bit, NaN and types included."""
    assert found.lengths.tolist() == wanted.lengths.tolist()
    for group, other in ((found.columns, wanted.columns), (found.context, wanted.context)):
        assert list(group) == list(other)
        for name, values in group.items():
            assert (values.dtype, values.shape) == (other[name].dtype, other[name].shape), name
            assert np.array_equal(values.view(np.uint8), other[name].view(np.uint8)), name
