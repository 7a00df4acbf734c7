from __future__ import annotations

import io
from itertools import chain
from typing import Any, Literal

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from service.classes import softmax
from service.manifest import Manifest, Output
from service.pack import Array
from service.wires import arrow_answer
from service.wires.arrow_answer import encode, to_arrow
from tests.service.fakes import manifest

LENGTHS = np.array([2, 0, 3])
LABELS = ("yes", "nö", "perhaps")


def output(name: str, per: Literal["token", "sequence"], width: int, named: bool = False) -> Output:
    return Output(name=name, per=per, width=width, labels=LABELS[:width] if named else None)


def of(*outputs: Output) -> Manifest:
    return manifest("answers").model_copy(update={"outputs": outputs})


EVERY = of(
    output("a", "token", 2),
    output("b", "token", 1),
    output("c", "sequence", 1),
    output("d", "sequence", 3, named=True),
    output("e", "token", 2, named=True),
)


def rows(lengths: Array = LENGTHS) -> dict[str, Array]:
    rng = np.random.default_rng(0)
    count = {"token": lengths.sum(), "sequence": len(lengths)}
    shapes = {o.name: (count[o.per], o.width) for o in EVERY.outputs}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def answer(lengths: Array = LENGTHS) -> pa.RecordBatch:
    batch = pa.record_batch(to_arrow(EVERY, lengths, rows(lengths)))
    batch.validate(full=True)
    return batch


def split(values: Array) -> list[list[Any]]:
    return [part.tolist() for part in np.split(values, np.cumsum(LENGTHS)[:-1])]


def test_every_sequence_is_a_row() -> None:
    found, wanted = answer().to_pydict(), rows()
    assert found["a"] == split(wanted["a"])
    assert found["b"] == split(wanted["b"].ravel())
    assert found["c"] == wanted["c"].ravel().tolist()
    assert found["d"] == wanted["d"].tolist()


def test_labels_bring_the_best_one_and_probabilities() -> None:
    found, wanted = answer().to_pydict(), rows()
    assert found["d.label"] == [LABELS[i] for i in wanted["d"].argmax(-1)]
    assert found["d.probability"] == softmax(wanted["d"]).tolist()
    assert list(chain(*found["e.label"])) == [LABELS[i] for i in wanted["e"].argmax(-1)]
    assert found["e.probability"] == split(softmax(wanted["e"]))
    names = "a, b, c, d, d.label, d.probability, e, e.label, e.probability"
    assert ", ".join(found) == names


def test_types_are_floats_and_lists_of_them() -> None:
    vectors = pa.list_(pa.float32(), 2)
    kinds = {name: answer().schema.field(name).type for name in ("a", "b", "c", "d", "e.label")}
    assert kinds == {
        "a": pa.list_(vectors),
        "b": pa.list_(pa.float32()),
        "c": pa.float32(),
        "d": pa.list_(pa.float32(), 3),
        "e.label": pa.list_(pa.string()),
    }


@pytest.mark.parametrize("lengths", [[], [0], [0, 0]])
def test_no_token_and_no_sequence_have_the_same_types(lengths: list[int]) -> None:
    found = answer(np.array(lengths, np.int64))
    assert (found.num_rows, found.schema) == (len(lengths), answer().schema)


def test_numbers_are_not_copied_and_are_kept_alive() -> None:
    values = np.arange(10, dtype=np.float32).reshape(5, 2)
    batch = pa.record_batch(to_arrow(of(output("a", "token", 2)), LENGTHS, {"a": values}))
    assert batch["a"].values.values.buffers()[1].address == values.ctypes.data
    del values
    assert batch["a"].values.values.to_pylist() == list(range(10))


def test_a_stream_is_what_other_libraries_read() -> None:
    body = encode(EVERY, LENGTHS, rows())
    assert pa.ipc.open_stream(body).read_all().to_batches() == [answer()]
    assert pl.read_ipc_stream(io.BytesIO(body))["c"].to_list() == rows()["c"].ravel().tolist()


def test_past_what_32_bits_count_lists_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = answer().to_pydict()
    monkeypatch.setattr(arrow_answer, "MOST_INT32", 4)
    large = answer()
    assert large.schema.field("b").type == pa.large_list(pa.float32())
    assert large.schema.field("d.label").type == pa.large_string()
    assert large.to_pydict() == usual
