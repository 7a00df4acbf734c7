from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from service.errors import BadRequest
from service.manifest import Manifest
from service.pack import Array, Pack
from service.wires.oip_sequences import OipSequences
from service.wires.validation import admit
from tests.service.fakes import EVENTS, LIMITS, MANIFESTS
from tests.service.wires.oip import as_binary, as_json, floats, pack, request, words

VECTORS, IDS = MANIFESTS["vectors"], MANIFESTS["ids"]
X = np.arange(12, dtype=np.float32).reshape(6, 2)
BATCH = X.reshape(2, 3, 2)


def read(of: Manifest = VECTORS, parameters: dict[str, Any] | None = None, **given: Any) -> Pack:
    """The same from JSON and from binary."""
    tensors = {name: np.asarray(value) for name, value in given.items()}
    extra: dict[str, Any] = {"parameters": parameters} if parameters else {}
    found = pack(*as_binary(tensors, **extra), of)
    other = pack(as_json(tensors, **extra), None, of)
    np.testing.assert_array_equal(found.lengths, other.lengths)
    for name in found.columns:
        np.testing.assert_array_equal(found.columns[name], other.columns[name])
    return found


def test_without_lengths_there_is_one_sequence() -> None:
    assert read(x=X).lengths.tolist() == [6]


def test_lengths_cut_columns_that_lie_end_to_end() -> None:
    found = read(x=X, lengths=[1, 3, 2])
    assert found.lengths.tolist() == [1, 3, 2]
    np.testing.assert_array_equal(found.columns["x"], X)


def test_a_batch_is_equal_sequences() -> None:
    found = read(x=BATCH)
    assert found.lengths.tolist() == [3, 3]
    np.testing.assert_array_equal(found.columns["x"], X)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"mask": np.array([[1, 0, 1], [0, 1, 0]], bool)}, [0, 2, 4]),
        ({"mask": np.array([[1, 0, 1], [0, 1, 0]])}, [0, 2, 4]),
        ({"lengths": [2, 1]}, [0, 1, 3]),
        ({"lengths": [2, 1], "mask": np.array([[0, 1, 1], [1, 1, 1]], bool)}, [1, 3]),
    ],
)
def test_padding_of_a_batch_is_left_out(given: dict[str, Any], kept: list[int]) -> None:
    found = read(x=BATCH, **given)
    np.testing.assert_array_equal(found.columns["x"], X[kept])


def test_what_holds_the_pad_value_in_all_columns_is_padding() -> None:
    batch = np.array([[1, 2, 0], [9, 0, 0]])
    found = read(IDS, {"pad_value": 0}, x=batch)
    assert (found.lengths.tolist(), found.columns["x"].tolist()) == ([2, 1], [1, 2, 9])
    vectors = BATCH.copy()
    vectors[1, 1:] = -1
    vectors[0, 0, 0] = -1  # not all of the vector
    assert read(parameters={"pad_value": -1}, x=vectors).lengths.tolist() == [3, 1]


def test_padding_may_hold_anything() -> None:
    batch = BATCH.copy()
    batch[0, 1] = np.nan
    mask = np.array([[1, 0, 1], [1, 1, 1]], bool)
    found = pack(*as_binary({"x": batch, "mask": mask}), VECTORS)
    assert found.lengths.tolist() == [2, 3]


def test_per_token_outputs_come_back_in_the_form_of_the_inputs() -> None:
    rows = np.arange(3, dtype=np.float32)[:, None] + 1
    body, header = as_binary({"x": BATCH, "lengths": np.array([2, 1])})
    form = OipSequences(request(body, header, VECTORS).inputs, {}, VECTORS, LIMITS)
    admit(form, VECTORS, LIMITS)
    np.testing.assert_array_equal(form.spread(rows)[..., 0], [[1, 2, 0], [3, 0, 0]])
    ragged = OipSequences(request(*as_binary({"x": X[:3]}), VECTORS).inputs, {}, VECTORS, LIMITS)
    assert ragged.spread(rows) is rows


GOOD: dict[str, Array] = {
    "amount": floats([1.5, np.nan, 3]),
    "kind": words("buy", "hold", "gone"),
    "code": np.array([-1, 0, 1], np.int32),
    "time": np.array([1e9, 1e9 + 0.25, 1e9 + 1]),
    "where": floats([[1, 2], [3, 4], [5, 6]]),
    "lengths": np.array([2, 1]),
    "age": np.array([41, 3]),
    "land": words("pt", "ch"),
    "home": floats([[0.5, -0.5], [1, 1]]),
}


def test_every_kind_of_column_comes_through() -> None:
    found = pack(*as_binary(GOOD), EVENTS)
    np.testing.assert_array_equal(found.columns["amount"], GOOD["amount"])
    assert found.columns["kind"].tolist() == [0, 2, 3]
    assert found.columns["code"].dtype == np.int64
    assert found.context["land"].tolist() == [1, 0]
    np.testing.assert_array_equal(found.context["age"], floats([41, 3]))
    column = pack(*as_binary(GOOD | {"age": GOOD["age"][:, None]}), EVENTS)
    np.testing.assert_array_equal(column.context["age"], found.context["age"])


BAD_EVENTS: dict[str, dict[str, Any]] = {
    "lengths add up to 4, amount has 3 tokens": {"lengths": np.array([2, 2])},
    "lengths add up to 3, code has 2 tokens": {"code": np.array([0, 0])},
    "age has 3 values for 2 sequences": {"age": np.array([1, 2, 3])},
    r"home: shape \[2\]; \[batch, 2\] is needed": {"home": floats([1, 2])},
    r"age: shape \[2, 2\]; \[batch\] is needed": {"age": np.ones((2, 2))},
    r"kind\[0\]\[0\]: must be an integer id, not a float": {"kind": np.ones(3)},
    r"code\[0\]\[0\]: must be an integer id, not a string": {"code": words("a", "b", "c")},
    r"amount\[0\]\[0\]: must be a number, not a string": {"amount": words("a", "b", "c")},
    r"time\[1\]\[0\]: must be a finite float64 number": {"time": np.array([0, 1, np.nan])},
    r"land\[1\]: 'xx' is none of its labels": {"land": words("pt", "xx")},
    "amount and where: one is a batch": {"where": np.ones((2, 3, 2), np.float32)},
    "unknown column 'more'": {"more": np.ones(1)},
}


@pytest.mark.parametrize("message", BAD_EVENTS)
def test_columns_that_do_not_fit_are_refused_by_name(message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        pack(*as_binary(GOOD | BAD_EVENTS[message]), EVENTS)


BAD: dict[str, dict[str, Any]] = {
    r"x: shape \[12\]; \[total, 2\] or \[batch, n, 2\] is needed": {"x": X.ravel()},
    r"x\[0\]\[0\]: 4 numbers, the width is 2": {"x": X.reshape(3, 4)},
    r"x\[0\]\[0\]: 0 numbers, the width is 2": {"x": np.ones((3, 0), np.float32)},
    r"x\[1\]\[0\]\[1\]: must be a finite float32 number": {
        "x": np.array([[1, 2], [3, 1e39]]),
        "lengths": np.array([1, 1]),
    },
    r"lengths\[1\]: -1 is no length": {"x": X, "lengths": np.array([7, -1])},
    r"lengths\[0\]: 9223372036854775807 is no length": {
        "x": X,
        "lengths": np.array([2**63 - 1, 2**63 - 1, 8]),
    },
    "lengths: must be INT64": {"x": X, "lengths": np.array([6.0])},
    r"lengths: must be INT64 of shape \[batch\]": {"x": X, "lengths": np.array([[6]])},
    "lengths has 1 values for a batch of 2": {"x": BATCH, "lengths": np.array([3])},
    r"lengths\[1\]: 4 tokens in rows of 3": {"x": BATCH, "lengths": np.array([3, 4])},
    "mask: goes with a batch": {"x": X, "mask": np.ones((2, 3), bool)},
    r"mask: must be BOOL of shape \[2, 3\]": {"x": BATCH, "mask": np.ones((3, 2), bool)},
    r"mask\[0\]\[2\]: must be 0 or 1": {"x": BATCH, "mask": np.array([[1, 1, 2], [1, 1, 1]])},
    "column 'x' is missing": {"lengths": np.array([1])},
    "no sequence is given": {"x": X[:0], "lengths": np.array([], np.int64)},
    r"sequence 0: 0 tokens, the minimum is 1": {"x": BATCH, "lengths": np.array([0, 1])},
}


@pytest.mark.parametrize("message", BAD)
def test_tensors_that_do_not_fit_are_refused_by_place(message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        pack(*as_binary(BAD[message]), VECTORS)


def test_a_pad_value_must_be_a_number_of_a_batch() -> None:
    with pytest.raises(BadRequest, match="'pad_value': must be a number"):
        read(parameters={"pad_value": "x"}, x=BATCH)
    with pytest.raises(BadRequest, match="pad_value: goes with a batch"):
        read(parameters={"pad_value": 0}, x=X)


@pytest.mark.parametrize("shape", [(1, 0, 2), (0, 5, 2)])
def test_a_pad_value_of_an_empty_batch_says_what_is_wrong(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadRequest, match=r"the minimum is 1|no sequence is given"):
        read(parameters={"pad_value": 0}, x=np.ones(shape, np.float32))


def test_words_have_no_pad_value() -> None:
    columns = {"kind": words("a", "b").reshape(1, 2), "code": np.ones((1, 2), np.int64)}
    others = {"amount": np.ones((1, 2)), "time": np.ones((1, 2)), "where": np.ones((1, 2, 2))}
    context = {"age": np.ones(1), "land": words("pt"), "home": np.ones((1, 2))}
    given = columns | others | context
    with pytest.raises(BadRequest, match="kind has words; send a mask"):
        pack(*as_binary(given, parameters={"pad_value": 0}), EVENTS)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2**30, 0, 2), "is empty, and larger"),
        ((2**15, 2**14, 0), "is empty, and larger"),
        ((0, *[2**20] * 4), "is empty, and larger"),
        ((2**10, 2**10, 0), "1024 sequences, the limit is 50"),
        ((40, 2**10, 0), "40960 places with and without tokens, the limit is 400"),
    ],
)
def test_what_is_empty_and_huge_costs_nothing(shape: tuple[int, ...], message: str) -> None:
    own = {"name": "x", "shape": shape, "datatype": "FP32"}
    forms: list[dict[str, Any]] = [{"data": []}, {"parameters": {"binary_data_size": 0}}]
    for more in forms:
        body = json.dumps({"inputs": [own | more]}).encode()
        with pytest.raises(BadRequest, match=message):
            pack(body, str(len(body)), VECTORS)


def test_nothing_is_read_of_inputs_that_are_not_the_model_s_or_too_long() -> None:
    """The data would be refused, were they looked at."""
    for name, shape, message in (
        ("nobody", [3, 2], "unknown column 'nobody'"),
        ("x", [101, 2], "101 tokens, the limit is 100"),
    ):
        own = {"name": name, "shape": shape, "datatype": "FP32", "data": ["not", "numbers"]}
        with pytest.raises(BadRequest, match=message):
            pack(json.dumps({"inputs": [own]}).encode(), None, VECTORS)
