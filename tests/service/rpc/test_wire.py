from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import BadRequest
from service.manifest import Manifest
from service.pack import Array, Pack
from service.rpc.messages import message
from service.rpc.wire import infer, read
from tests.service.fakes import LIMITS, MANIFESTS, manifest
from tests.service.rpc.asking import infer_request
from tests.service.wires.oip import NAMES, floats, words

VECTORS = MANIFESTS["vectors"]
PER_TOKEN = manifest("m", width=2, per="token", labels=("no", "yes"))
X = np.arange(6, dtype=np.float32).reshape(3, 2)
ROWS = floats([[1, 5], [2.5, 0], [-1, 7]])
LISTED = [name for name in NAMES if name not in ("object", "float16")]


def pack(asked: Any, of: Manifest = VECTORS, headers: dict[str, str] | None = None) -> Pack:
    return infer(asked.SerializeToString(), headers or {}, of, LIMITS).pack


def answer(asked: Any, rows: Array = ROWS) -> Any:
    exchange = infer(asked.SerializeToString(), {}, PER_TOKEN, LIMITS)
    return message("ModelInferResponse").FromString(exchange.answer({"y": rows}, {}).body)


@given(
    st.sampled_from(LISTED),
    st.lists(st.integers(0, 4), min_size=1, max_size=4),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_tensors_come_through_exactly_raw_and_listed(
    dtype: str, shape: list[int], raw: bool, seed: int
) -> None:
    array = np.random.default_rng(seed).integers(0, 2 if dtype == "bool" else 100, shape)
    found = read(infer_request({"a": array.astype(dtype)}, raw), LIMITS).inputs["a"]
    assert (found.datatype, found.shape) == (NAMES[dtype], shape)
    np.testing.assert_array_equal(found.array(), array.astype(dtype))
    assert found.array().dtype == dtype


@pytest.mark.parametrize("raw", [True, False])
def test_words_come_through_raw_and_listed(raw: bool) -> None:
    array = words("buy", "", "späť")
    found = read(infer_request({"a": array}, raw), LIMITS).inputs["a"]
    assert found.array().tolist() == array.tolist()


def test_half_floats_are_raw_only() -> None:
    array = np.array([[1.5, -2]], np.float16)
    np.testing.assert_array_equal(pack(infer_request({"x": array})).columns["x"], array)
    listed = infer_request({"x": X}, raw=False)
    listed.inputs[0].datatype = "FP16"
    with pytest.raises(BadRequest, match="'x': FP16 goes in raw_input_contents only"):
        pack(listed)


@pytest.mark.parametrize("raw", [True, False])
def test_an_answer_has_the_form_of_its_request(raw: bool) -> None:
    found = answer(infer_request({"x": X}, raw, id="é/7"))
    assert (found.model_name, found.model_version, found.id) == ("m", "3", "é/7")
    (own,) = found.outputs
    assert (own.name, own.datatype, [*own.shape]) == ("y", "FP32", [3, 2])
    if raw:
        (rows,) = found.raw_output_contents
        np.testing.assert_array_equal(np.frombuffer(rows, "<f4").reshape(3, 2), ROWS)
        assert own.contents.ByteSize() == 0
    else:
        assert not found.raw_output_contents
        np.testing.assert_array_equal(floats(own.contents.fp32_contents).reshape(3, 2), ROWS)


@pytest.mark.parametrize("raw", [True, False])
def test_a_classification_is_words_and_says_labels(raw: bool) -> None:
    found = answer(infer_request({"x": X}, raw, outputs={"y": {"classification": 1}}))
    (own,) = found.outputs
    assert (own.datatype, [*own.shape]) == ("BYTES", [3, 1])
    expected = [b"5.0:1:yes", b"2.5:0:no", b"7.0:1:yes"]
    if raw:
        joined = b"".join(len(word).to_bytes(4, "little") + word for word in expected)
        assert [*found.raw_output_contents] == [joined]
    else:
        assert [*own.contents.bytes_contents] == expected


def test_a_batch_is_answered_as_a_batch() -> None:
    batch = np.zeros((2, 2, 2), np.float32)
    found = answer(infer_request({"x": batch, "lengths": np.array([2, 1])}))
    rows = np.frombuffer(found.raw_output_contents[0], "<f4").reshape(2, 2, 2)
    np.testing.assert_array_equal(rows[[0, 0, 1], [0, 1, 0]], ROWS)
    assert not rows[1, 1].any()


PARAMETERS: list[tuple[dict[str, Any], dict[str, str], float | None]] = [
    ({}, {}, None),
    ({"timeout": 2_000_000}, {}, 2.0),
    ({}, {"x-request-timeout": "1.5"}, 1.5),
    ({"timeout": 2_000_000}, {"x-request-timeout": "1.5"}, 1.5),
    ({"timeout": 1_000_000}, {"x-request-timeout": "1.5"}, 1.0),
    ({"timeout": 0}, {"x-request-timeout": "1.5"}, 1.5),
]


@pytest.mark.parametrize(("parameters", "headers", "seconds"), PARAMETERS)
def test_the_shorter_of_timeout_and_deadline_counts(
    parameters: dict[str, Any], headers: dict[str, str], seconds: float | None
) -> None:
    body = infer_request({"x": X}, parameters=parameters).SerializeToString()
    assert infer(body, headers, VECTORS, LIMITS).timeout == seconds


def test_a_priority_may_be_an_unsigned_number() -> None:
    asked = infer_request({"x": X})
    asked.parameters["priority"].uint64_param = 1
    assert infer(asked.SerializeToString(), {}, VECTORS, LIMITS).priority == 1


def changed(**fields: Any) -> Any:
    """A good request with listed values, whose first input is changed."""
    asked = infer_request({"x": X}, raw=False)
    contents = fields.pop("contents", None)
    if contents is not None:
        asked.inputs[0].contents.CopyFrom(message("InferTensorContents")(**contents))
    for name, value in fields.items():
        asked.inputs[0].ClearField(name)
        if isinstance(value, list):
            getattr(asked.inputs[0], name).extend(value)
        else:
            setattr(asked.inputs[0], name, value)
    return asked


def both() -> Any:
    asked = infer_request({"x": X}, raw=False)
    asked.raw_input_contents.append(X.tobytes())
    return asked


def valueless() -> Any:
    asked = infer_request({"x": X})
    asked.parameters["priority"].SetInParent()
    asked.parameters["priority"].Clear()
    return asked


def too_few() -> Any:
    asked = infer_request({"x": X, "lengths": np.array([3])})
    del asked.raw_input_contents[1]
    return asked


BAD: dict[str, Any] = {
    r"inputs\[0\] 'x': has contents, and raw_input_contents besides": both(),
    "raw_input_contents: 1 for 2 inputs; there is one for each, or none": too_few(),
    r"inputs\[0\] 'x': 5 values in fp32_contents, shape \[3, 2\] needs 6": changed(
        contents={"fp32_contents": [1] * 5}
    ),
    "'x': FP32 goes in fp32_contents, not fp64_contents": changed(
        contents={"fp64_contents": [1] * 6}
    ),
    "'x': FP64 goes in fp64_contents, not fp32_contents": changed(datatype="FP64"),
    r"'x': int_contents\[1\]: 128 is no INT8": changed(
        datatype="INT8", shape=[1, 2], contents={"int_contents": [-128, 128]}
    ),
    r"'x': uint_contents\[0\]: 65536 is no UINT16": changed(
        datatype="UINT16", shape=[1, 1], contents={"uint_contents": [65536]}
    ),
    "'x': BYTES element 0: is not UTF-8": changed(
        datatype="BYTES", shape=[1, 1], contents={"bytes_contents": [b"\xff"]}
    ),
    "'x': datatype is 'FLOAT'; there are BOOL": changed(datatype="FLOAT"),
    "'x': shape has 0 dimensions": changed(shape=[]),
    "'x': shape: -1 is no size": changed(shape=[-1, 2]),
    r"inputs\[0\]: needs a 'name'": changed(name=""),
    "inputs: 17 tensors, the limit is 16": infer_request({f"x{i}": X for i in range(17)}),
    "shape .* is 24 bytes, not 8": changed(shape=[3, 2], datatype="FP32", contents={}),
    "parameter 'priority' has no value": valueless(),
    "parameter 'sequence_id': no state is kept": infer_request(
        {"x": X}, parameters={"sequence_id": 4}
    ),
    "the request: shared memory is not offered": infer_request(
        {"x": X}, parameters={"shared_memory_region": "a"}
    ),
    "unknown output 'z'; this model answers y": infer_request({"x": X}, outputs={"z": {}}),
    "output 'y' is asked for twice": infer_request({"x": X}, outputs={"y": {}}),
    r"outputs\[0\]: parameter 'classification' must be a whole number": infer_request(
        {"x": X}, outputs={"y": {"classification": "all"}}
    ),
    "column 'x' is missing": infer_request({}),
    "lengths add up to 4, x has 3 tokens": infer_request({"x": X, "lengths": np.array([4])}),
}
BAD["output 'y' is asked for twice"].outputs.add(name="y")
BAD["shape .* is 24 bytes, not 8"].inputs[0].ClearField("contents")
BAD["shape .* is 24 bytes, not 8"].raw_input_contents.append(bytes(8))


@pytest.mark.parametrize("sentence", BAD)
def test_what_does_not_fit_is_refused_by_name_and_place(sentence: str) -> None:
    with pytest.raises(BadRequest, match=sentence):
        pack(BAD[sentence])


def test_an_input_that_is_given_twice_is_refused() -> None:
    asked = infer_request({"x": X})
    asked.MergeFrom(infer_request({"x": X}))
    with pytest.raises(BadRequest, match=r"inputs\[1\] 'x': is given twice"):
        pack(asked)


@pytest.mark.parametrize("body", [b"\xff" * 9, b"\x2a\x05abc", b"\x0a\x01\xff"])
def test_what_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest, match="the message is no ModelInferRequest"):
        infer(body, {}, VECTORS, LIMITS)
