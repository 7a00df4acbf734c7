from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from service.answer import encode, softmax, usage
from service.engine import Answer
from service.errors import BadRequest
from service.manifest import Manifest
from service.pack import Array
from tests.service.fakes import manifest


def answer(*values: object) -> Answer:
    outputs: list[Array] = [np.array(v, np.float32) for v in values]
    return Answer({"y": outputs}, queue_ms=1.23456, compute_ms=2.0)


def encoded(described: Manifest, found: Answer, lengths: list[int]) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(encode(described, found, usage(found, lengths)))
    return body


def test_a_response_holds_what_the_contract_names() -> None:
    found = encoded(manifest("m"), answer([1.5], [-2]), [3, 4])
    assert found == {
        "model": "m",
        "version": "3",
        "outputs": [[1.5], [-2.0]],
        "usage": {"tokens": 7, "sequences": 2, "queue_ms": 1.235, "compute_ms": 2.0},
    }


def test_a_classifier_adds_labels_and_probabilities() -> None:
    labelled = manifest("m", labels=("a", "b"))
    found = encoded(labelled, answer([0, 3], [5, 5.1]), [1, 1])
    assert found["labels"] == ["b", "b"]
    assert np.sum(found["probabilities"], axis=1) == pytest.approx([1, 1])
    assert found["outputs"] == [[0, 3], [5, pytest.approx(5.1)]]


def test_a_per_token_classifier_labels_every_token() -> None:
    described = manifest("m", per="token", labels=("a", "b"))
    found = encoded(described, answer([[0, 3], [3, 0]], np.zeros((0, 2))), [2, 0])
    assert found["labels"] == [["b", "a"], []]


def test_softmax_stands_large_logits() -> None:
    assert softmax(np.array([1e4, 0.0], np.float32)).tolist() == [1.0, 0.0]


def test_an_output_that_is_not_finite_is_an_error_naming_the_sequence() -> None:
    with pytest.raises(BadRequest, match=r"sequences\[1\].*not finite"):
        encoded(manifest("m"), answer([1.0], [np.inf]), [1, 1])
