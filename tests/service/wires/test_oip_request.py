from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import BadRequest
from service.wires.validation import Limits
from tests.service.fakes import EVENTS, LIMITS, MANIFESTS
from tests.service.wires.oip import NAMES, arrays, as_binary, as_json, floats, pack, request, words

VECTORS = MANIFESTS["vectors"]
X = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
NUMBERS = [name for name in NAMES if name not in ("object",)]


@given(
    st.sampled_from(NUMBERS),
    st.lists(st.integers(0, 4), min_size=1, max_size=4),
    st.integers(0, 2**32),
)
def test_tensors_come_through_exactly_in_every_form(
    dtype: str, shape: list[int], seed: int
) -> None:
    array = np.random.default_rng(seed).integers(0, 2 if dtype == "bool" else 100, shape)
    given_array = array.astype(dtype)
    for body, header in (
        as_binary({"a": given_array}),
        (as_json({"a": given_array}), None),
        (as_json({"a": given_array}, flat=True), None),
    ):
        found = request(body, header, VECTORS).inputs["a"]
        assert (found.datatype, found.shape) == (NAMES[dtype], shape)
        np.testing.assert_array_equal(found.array(), given_array)


def test_words_come_through_in_both_forms() -> None:
    array = words("buy", "", "späť")
    for body, header in (as_binary({"a": array}), (as_json({"a": array}), None)):
        assert request(body, header, VECTORS).inputs["a"].array().tolist() == array.tolist()


def test_bf16_is_the_upper_half_of_a_float32() -> None:
    array = floats([1.5, -2, 0.15625])
    upper = (array.view(np.uint32) >> 16).astype("<u2").tobytes()
    one = {"name": "a", "shape": [3], "datatype": "BF16", "parameters": {"binary_data_size": 6}}
    head = json.dumps({"inputs": [one]}).encode()
    found = arrays(head + upper, str(len(head)), VECTORS)["a"]
    np.testing.assert_array_equal(found, array)


def test_a_raw_body_is_the_one_input() -> None:
    found = request(X.tobytes(), "0", VECTORS)
    np.testing.assert_array_equal(found.inputs["x"].array(), X)
    assert found.binary
    with pytest.raises(BadRequest, match="25 bytes are no multiple of 8"):
        request(X.tobytes() + b"1", "0", VECTORS)
    with pytest.raises(BadRequest, match="a raw request has one input; this model reads amount"):
        request(X.tobytes(), "0", EVENTS)


def test_json_and_raw_tensors_mix_in_one_request() -> None:
    body, header = as_binary({"x": X})
    head = json.loads(body[: int(header)])
    head["inputs"].insert(0, {"name": "lengths", "shape": [2], "datatype": "INT64", "data": [1, 2]})
    new = json.dumps(head).encode()
    assert pack(new + body[int(header) :], str(len(new)), VECTORS).lengths.tolist() == [1, 2]


def one(**fields: Any) -> bytes:
    """A request whose one input has these fields; ... leaves one out."""
    base = {"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]} | fields
    return json.dumps({"inputs": [{k: v for k, v in base.items() if v is not ...}]}).encode()


BAD_INPUTS: dict[str, dict[str, Any]] = {
    r"inputs\[0\]: needs a 'name'": {"name": ...},
    r"inputs\[0\]: needs a 'name', a": {"name": 7},
    r"inputs\[0\] 'x': missing field 'shape'": {"shape": ...},
    r"shape: must be a list of integers, not a string": {"shape": "2"},
    r"shape has 0 dimensions": {"shape": []},
    r"shape has 9 dimensions": {"shape": [1] * 9},
    r"shape: -1 is no size": {"shape": [-1, -2]},
    r"shape: a float is no size": {"shape": [2.0]},
    r"shape: a boolean is no size": {"shape": [True]},
    r"data: 2 values, shape \[9223372036854775807, 9\] needs 83010348331692982263": {
        "shape": [2**63 - 1, 9]
    },
    r"shape: 18446744073709551615 is no size": {"shape": [2**64 - 1]},
    r"shape \[0, 9000000000\] is empty, and larger": {"shape": [0, 9 * 10**9], "data": []},
    r"datatype is 'FLOAT'; there are BOOL": {"datatype": "FLOAT"},
    r"datatype is null": {"datatype": ...},
    r"data: 2 values, shape \[3\] needs 3": {"shape": [3]},
    r"data\[1\]: 1 values, shape \[2, 2\] needs 2": {"shape": [2, 2], "data": [[1, 2], [3]]},
    r"data\[1\]: must be a list, not an integer": {"shape": [2, 2], "data": [[1, 2], 3]},
    r"data\[0\]\[1\]: a list is no FP32": {"shape": [1, 2], "data": [[1, [2]]]},
    r"data\[0\]: a list is no FP32": {"data": [[1, 2], []]},
    r"data\[1\]: a string is no FP32": {"data": [1, "2"]},
    r"data\[1\]: null is no FP32": {"data": [1, None]},
    r"data\[1\]: 300 is no INT8": {"datatype": "INT8", "data": [1, 300]},
    r"data\[0\]: -1 is no UINT64": {"datatype": "UINT64", "data": [-1, 3]},
    r"data\[0\]: a float is no INT64": {"datatype": "INT64", "data": [1.5, 3]},
    r"data\[0\]: 2 is no BOOL": {"datatype": "BOOL", "data": [2, 0]},
    r"data\[0\]: 1 is no BYTES": {"datatype": "BYTES", "data": [1, 0]},
    r"data: must be a list of values, not an integer": {"data": 5},
    r"has neither 'data' nor a binary_data_size": {"data": ...},
    r"has both 'data' and a binary_data_size": {"parameters": {"binary_data_size": 8}},
    r"binary_data_size is 8, the body has 0 bytes left": {
        "data": ...,
        "parameters": {"binary_data_size": 8},
    },
    r"'binary_data_size' must be a whole number": {
        "data": ...,
        "parameters": {"binary_data_size": -8},
    },
    r"shared memory is not offered": {"parameters": {"shared_memory_region": "r"}},
    r"parameter 'a' cannot be a list": {"parameters": {"a": [1]}},
    r"parameters: must be an object": {"parameters": 3},
    r"unknown field 'dtype'": {"dtype": "FP32"},
}


@pytest.mark.parametrize("message", BAD_INPUTS)
def test_a_bad_input_is_refused_by_name_and_place(message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        arrays(one(**BAD_INPUTS[message]), None, VECTORS)


BAD_REQUESTS: dict[str, Any] = {
    "the request: must be an object, not a list": [],
    "missing field 'inputs'": {"outputs": []},
    "unknown field 'model'": {"inputs": [], "model": "x"},
    "inputs: must be a list of tensors": {"inputs": {}},
    r"inputs\[0\]: must be an object": {"inputs": [1]},
    r"inputs: 17 tensors, the limit is 16": {"inputs": [{}] * 17},
    r"inputs\[1\] 'x': is given twice": {"inputs": [json.loads(one())["inputs"][0]] * 2},
    "id: must be a string, not an integer": {"inputs": [], "id": 7},
    "outputs: 17 tensors, the limit is 16": {"inputs": [], "outputs": [{"name": "y"}] * 17},
    r"outputs\[0\]: needs a 'name'": {"inputs": [], "outputs": [{}]},
    "'binary_data' must be true or false": {
        "inputs": [],
        "outputs": [{"name": "y", "parameters": {"binary_data": 1}}],
    },
    "'classification' must be a whole number": {
        "inputs": [],
        "outputs": [{"name": "y", "parameters": {"classification": -1}}],
    },
    "'sequence_id': no state is kept": {"inputs": [], "parameters": {"sequence_id": 3}},
    "'binary_data_output' must be": {"inputs": [], "parameters": {"binary_data_output": "yes"}},
}


@pytest.mark.parametrize("message", BAD_REQUESTS)
def test_a_bad_request_is_refused_by_field(message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        request(json.dumps(BAD_REQUESTS[message]).encode(), None, VECTORS)


@pytest.mark.parametrize("header", ["-1", "", "1e3", "0x10", "٣", "9" * 10_000, "1000", " 5"])
def test_a_header_that_is_no_length_of_the_body_is_refused(header: str) -> None:
    with pytest.raises(BadRequest, match="Inference-Header-Content-Length") as caught:
        request(one(), header, VECTORS)
    assert len(str(caught.value)) < 120


def test_bytes_too_few_too_many_or_of_another_size_are_refused() -> None:
    body, header = as_binary({"x": X})
    with pytest.raises(BadRequest, match="2 unexpected bytes after the last tensor"):
        request(body + b"12", header, VECTORS)
    with pytest.raises(BadRequest, match="binary_data_size is 24, the body has 23 bytes left"):
        request(body[:-1], header, VECTORS)
    wrong = body[: int(header)].replace(b"[3, 2]", b"[3, 3]") + body[int(header) :]
    with pytest.raises(BadRequest, match=r"shape \[3, 3\] of FP32 is 36 bytes, not 24"):
        arrays(wrong, header, VECTORS)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\x03\0\0\0ab", "element 0 ends past"),
        (b"\xff\xff\xff\xffab", "element 0 ends past"),
        (b"\x01\0\0\0abc", "2 bytes after its 1 BYTES elements"),
        (b"\x01\0\0\0\xff", "element 0: is not UTF-8"),
        (b"\0\0", "1 BYTES elements do not fit in 2 bytes"),
    ],
)
def test_bytes_elements_must_fill_their_tensor(raw: bytes, message: str) -> None:
    own: dict[str, Any] = {"name": "a", "shape": [1], "datatype": "BYTES"}
    own["parameters"] = {"binary_data_size": len(raw)}
    head = json.dumps({"inputs": [own]}).encode()
    with pytest.raises(BadRequest, match=message):
        arrays(head + raw, str(len(head)), VECTORS)


@settings(max_examples=300)
@given(st.data())
def test_any_damage_to_a_body_is_read_or_refused(data: st.DataObject) -> None:
    body, header = as_binary({"x": X, "lengths": np.array([1, 2])})
    damaged = bytearray(body)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    cut = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    length = data.draw(st.sampled_from([header, None, "0", str(len(cut))]))
    try:
        found = pack(cut, length, VECTORS, Limits(100, 50))
    except BadRequest:
        return
    assert found.lengths.sum() == len(found.columns["x"])


def test_a_bracket_in_a_string_changes_nothing() -> None:
    body = as_json({"x": X}, id="a[b[c")
    np.testing.assert_array_equal(request(body, None, VECTORS, LIMITS).inputs["x"].array(), X)
