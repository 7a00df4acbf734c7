from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from service.classes import softmax
from service.manifest import Manifest
from service.pack import Array
from service.wires.json_answer import encode
from tests.service.fakes import EVENTS, manifest


def encoded(described: Manifest, lengths: list[int], **outputs: Any) -> dict[str, Any]:
    rows: dict[str, Array] = {name: np.array(v, np.float32) for name, v in outputs.items()}
    body: dict[str, Any] = json.loads(encode(described, np.array(lengths), rows, {"tokens": 7}))
    return body


def test_a_response_holds_what_the_contract_names() -> None:
    assert encoded(manifest("m"), [3, 4], y=[[1.5], [-2]]) == {
        "model": "m",
        "version": "3",
        "outputs": [[1.5], [-2.0]],
        "usage": {"tokens": 7},
    }


def test_a_classifier_adds_labels_and_probabilities() -> None:
    found = encoded(manifest("m", labels=("a", "b")), [1, 1], y=[[0, 3], [5, 5.1]])
    assert found["labels"] == ["b", "b"]
    assert np.sum(found["probabilities"], axis=1) == pytest.approx([1, 1])
    assert found["outputs"] == [[0, 3], [5, pytest.approx(5.1)]]


def test_a_per_token_classifier_labels_every_token() -> None:
    described = manifest("m", per="token", labels=("a", "b"))
    found = encoded(described, [2, 0], y=[[0, 3], [3, 0]])
    assert found["labels"] == [["b", "a"], []]
    assert found["outputs"] == [[[0, 3], [3, 0]], []]


def test_of_several_outputs_each_sequence_has_them_by_name() -> None:
    found = encoded(EVENTS, [2, 1], y=[[1, 2], [3, 4], [5, 6]], risk=[[0, 1], [1, 0]])
    assert found["outputs"][0] == {"y": [[1, 2], [3, 4]], "risk": [0, 1]}
    assert found["outputs"][1] == {"y": [[5, 6]], "risk": [1, 0]}
    assert found["labels"] == [{"risk": "high"}, {"risk": "low"}]
    assert list(found["probabilities"][0]) == ["risk"]


def test_softmax_stands_large_logits() -> None:
    assert softmax(np.array([1e4, 0.0], np.float32)).tolist() == [1.0, 0.0]
