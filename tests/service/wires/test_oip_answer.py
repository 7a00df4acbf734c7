from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from service.errors import BadRequest
from service.manifest import Manifest
from service.pack import Array
from service.wires import oip_answer
from service.wires.oip_sequences import OipSequences
from service.wires.validation import admit
from tests.service.fakes import EVENTS, LIMITS, manifest
from tests.service.wires.oip import as_binary, floats, request

X = np.arange(6, dtype=np.float32).reshape(3, 2)
ROWS = {"y": floats([[1, 5], [2.5, 0], [-1, 7]])}
PER_TOKEN = manifest("m", width=2, per="token", labels=("no", "yes"))


def answered(
    of: Manifest, rows: Mapping[str, Array], tensors: dict[str, Array], **extra: Any
) -> tuple[dict[str, Any], bytes, dict[str, str]]:
    """The head of an answer, the bytes behind it, and its headers."""
    asked = request(*as_binary(tensors, **extra), of)
    form = OipSequences(asked.inputs, asked.parameters, of, LIMITS)
    admit(form, of, LIMITS)
    body, headers = oip_answer.encode(asked, oip_answer.wanted(asked, of), form, of, rows)
    size = int(headers.get(oip_answer.HEADER, len(body)))
    return json.loads(body[:size]), body[size:], headers


def test_json_is_the_default_and_flat() -> None:
    head, raw, headers = answered(PER_TOKEN, ROWS, {"x": X})
    assert headers == {"Content-Type": "application/json"}
    assert raw == b""
    assert head == {
        "model_name": "m",
        "model_version": "3",
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [3, 2], "data": [1, 5, 2.5, 0, -1, 7]}
        ],
    }


def test_the_id_comes_back() -> None:
    assert answered(PER_TOKEN, ROWS, {"x": X}, id="é/7")[0]["id"] == "é/7"


def test_binary_outputs_lie_behind_the_json_in_order() -> None:
    head, raw, headers = answered(
        PER_TOKEN, ROWS, {"x": X}, parameters={"binary_data_output": True}
    )
    assert headers["Content-Type"] == "application/octet-stream"
    assert head["outputs"][0]["parameters"] == {"binary_data_size": 24}
    assert "data" not in head["outputs"][0]
    np.testing.assert_array_equal(np.frombuffer(raw, "<f4").reshape(3, 2), ROWS["y"])


def test_an_output_s_own_word_wins() -> None:
    one = {"name": "y", "parameters": {"binary_data": False}}
    head, raw, _ = answered(
        PER_TOKEN, ROWS, {"x": X}, outputs=[one], parameters={"binary_data_output": True}
    )
    assert (raw, "data" in head["outputs"][0]) == (b"", True)


def test_an_empty_output_has_no_bytes() -> None:
    head, raw, headers = answered(
        PER_TOKEN,
        {"y": np.empty((0, 2), np.float32)},
        {"x": X[:0]},
        parameters={"binary_data_output": True},
    )
    assert (head["outputs"][0]["shape"], raw) == ([0, 2], b"")
    assert oip_answer.HEADER in headers


def test_classification_gives_the_largest_with_index_and_label() -> None:
    one = {"name": "y", "parameters": {"classification": 1}}
    head, _, _ = answered(PER_TOKEN, ROWS, {"x": X}, outputs=[one])
    assert head["outputs"][0]["datatype"] == "BYTES"
    assert head["outputs"][0]["shape"] == [3, 1]
    assert head["outputs"][0]["data"] == ["5.0:1:yes", "2.5:0:no", "7.0:1:yes"]


def test_more_classes_than_there_are_give_all() -> None:
    one = {"name": "y", "parameters": {"classification": 9, "binary_data": True}}
    head, raw, _ = answered(manifest("m"), {"y": floats([[3]])}, {"x": X}, outputs=[one])
    assert head["outputs"][0]["shape"] == [1, 1]
    assert raw == b"\x05\0\0\x003.0:0"


def test_a_batch_is_answered_as_a_batch() -> None:
    batch = {"x": X[None], "lengths": np.array([2])}
    head, _, _ = answered(PER_TOKEN, {"y": ROWS["y"][:2]}, batch)
    assert head["outputs"][0]["shape"] == [1, 3, 2]
    assert head["outputs"][0]["data"] == [1, 5, 2.5, 0, 0, 0]


def test_outputs_come_as_they_are_asked_for() -> None:
    outputs = {"y": np.ones((3, 2), np.float32), "risk": np.ones((1, 2), np.float32)}
    tensors = {
        "amount": np.ones(3),
        "kind": np.ones(3, np.int64),
        "code": np.ones(3, np.int64),
        "time": np.ones(3),
        "where": np.ones((3, 2)),
        "age": np.ones(1),
        "land": np.ones(1, np.int64),
        "home": np.ones((1, 2)),
    }
    head, _, _ = answered(EVENTS, outputs, tensors, outputs=[{"name": "risk"}])
    assert [one["name"] for one in head["outputs"]] == ["risk"]
    head, _, _ = answered(EVENTS, outputs, tensors)
    assert [one["name"] for one in head["outputs"]] == ["y", "risk"]


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ([{"name": "z"}], "unknown output 'z'; this model answers y"),
        ([{"name": "y"}, {"name": "y"}], "output 'y' is asked for twice"),
    ],
)
def test_outputs_that_there_are_not_are_refused(outputs: list[Any], message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        answered(PER_TOKEN, ROWS, {"x": X}, outputs=outputs)
