from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import BadRequest
from service.rpc import outline as module
from service.rpc.messages import message
from service.rpc.outline import check_listed, outline
from service.rpc.wire import infer
from service.wires.document import MOST_FIELDS
from tests.service.fakes import LIMITS, MANIFESTS
from tests.service.rpc.asking import infer_request

MOST = 16
INPUT, OUTPUT, CONTENTS = b"\x2a", b"\x32", b"\x2a"  # how such fields begin


def requests() -> st.SearchStrategy[Any]:
    parts = {
        "model_name": st.text(max_size=200),
        "model_version": st.text(max_size=3),
        "id": st.text(max_size=3),
        "raw_input_contents": st.lists(st.binary(max_size=300), max_size=MOST),
    }
    return st.fixed_dictionaries(parts).map(lambda own: message("ModelInferRequest")(**own))


def sized(tag: bytes, value: bytes) -> bytes:
    """A field with its size before it."""
    size, found = len(value), bytearray()
    while size > 127:
        found.append(size & 127 | 128)
        size >>= 7
    return tag + bytes([*found, size]) + value


def listing(value: bytes) -> bytes:
    """A message of one input with these contents."""
    return sized(INPUT, sized(CONTENTS, value))


@given(requests())
def test_the_model_is_the_one_that_the_parsed_message_names(asked: Any) -> None:
    found = outline(asked.SerializeToString(), MOST)
    assert found == (asked.model_name, asked.model_version or None)


@given(st.binary(max_size=60))
def test_whatever_is_no_message_is_a_bad_request_or_left_to_the_parser(body: bytes) -> None:
    try:
        name, version = outline(body, MOST)
        with patch.object(module, "MOST_LISTED", 0):
            check_listed(body)
    except BadRequest as error:
        words = ("message", "UTF-8", "inputs list")
        assert any(word in str(error) for word in words)  # noqa: PT017
    else:
        assert (type(name), version != "") == (str, True)


@given(requests(), st.integers(1, 400))
def test_a_message_that_ends_amid_a_field_is_refused(asked: Any, cut: int) -> None:
    asked.raw_input_contents.append(b"x" * 400)
    with pytest.raises(BadRequest, match="no ModelInferRequest"):
        outline(asked.SerializeToString()[:-cut], 2 * MOST)


def test_the_last_name_counts_as_in_protobuf() -> None:
    two = [message("ModelInferRequest")(model_name=name).SerializeToString() for name in "ab"]
    assert outline(b"".join(two), MOST) == ("b", None)


CRUMBS = {
    "16 inputs": b"\x2a\x00",
    "16 outputs": b"\x32\x00",
    "16 raw_input_contents": b"\x3a\x00",
    "512 parameters": b"\x22\x00",
    "192 other fields": b"\x7a\x00",
}


@pytest.mark.parametrize("most", CRUMBS)
def test_a_message_of_crumbs_is_refused_before_it_is_parsed(most: str) -> None:
    assert outline(CRUMBS[most] * MOST, MOST) == ("", None)
    with pytest.raises(BadRequest, match=f"the message has more than {most}"):
        outline(CRUMBS[most] * 1_000_000, MOST)


NESTED = {
    "parameters of an input": (INPUT, b"\x22\x00", "512 parameters"),
    "parameters of an output": (OUTPUT, b"\x12\x00", "512 parameters"),
    "dimensions": (INPUT, b"\x18\x00", "1280 bytes of shapes"),
    "dimensions without any": (INPUT, b"\x1a\x00", "1280 bytes of shapes"),
    "names": (INPUT, b"\x0a\x00", "192 other fields"),
    "contents": (INPUT, b"\x2a\x00", "192 other fields"),
    "what is not known": (OUTPUT, b"\x7a\x00", "192 other fields"),
    "numbers that are not known": (INPUT, b"\x78\x00", "192 other fields"),
}


@pytest.mark.parametrize("what", NESTED)
def test_a_tensor_of_crumbs_is_refused_before_it_is_parsed(what: str) -> None:
    tensor, crumb, most = NESTED[what]
    assert outline(sized(tensor, crumb * 8), MOST) == ("", None)
    with pytest.raises(BadRequest, match=f"the message has more than {most}"):
        outline(sized(tensor, crumb * 1_000_000), MOST)


def test_a_shape_of_very_many_dimensions_is_refused_before_it_is_parsed() -> None:
    shape = sized(b"\x1a", bytes(1_000_000))
    with pytest.raises(BadRequest, match="more than 1280 bytes of shapes"):
        outline(sized(INPUT, shape), MOST)


def test_parameters_are_counted_apart_from_tensors_and_those_of_all_together() -> None:
    parameters: dict[str, Any] = {f"p{i}": i for i in range(MOST_FIELDS - 1)}
    asked = infer_request({}, parameters=parameters, outputs={"y": {"classification": 1}})
    assert outline(asked.SerializeToString(), 1) == ("", None)
    asked.outputs[0].parameters["more"].int64_param = 1
    with pytest.raises(BadRequest, match=f"more than {MOST_FIELDS} parameters"):
        outline(asked.SerializeToString(), 1)


LISTS = {
    "words": sized(b"\x42", b"") * 100,
    "long words": sized(b"\x42", b"a" * 200) * 100,
    "packed numbers": sized(b"\x1a", b"\x80\x01" * 100),
    "numbers one by one": b"\x18\x05" * 100,
    "booleans": sized(b"\x0a", b"\x01" * 100),
}


@pytest.mark.parametrize("kind", LISTS)
def test_lists_of_very_many_values_are_refused_before_they_are_parsed(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    body = listing(LISTS[kind])
    monkeypatch.setattr(module, "MOST_LISTED", 100)
    check_listed(body)
    monkeypatch.setattr(module, "MOST_LISTED", 99)
    with pytest.raises(BadRequest, match="more than 99 values one by one"):
        check_listed(body)
    with pytest.raises(BadRequest, match="more than 99 values one by one"):
        infer(body, {}, MANIFESTS["vectors"], LIMITS)


def test_values_of_all_inputs_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_LISTED", 150)
    body = listing(LISTS["words"])
    check_listed(body)
    with pytest.raises(BadRequest, match="more than 150 values"):
        check_listed(body + body)


def test_floats_take_no_more_room_than_they_have_and_are_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_LISTED", 10)
    asked = infer_request({"x": np.ones((50, 2), np.float32)}, raw=False)
    check_listed(asked.SerializeToString())
    assert len(asked.inputs[0].contents.fp32_contents) == 100


@given(st.lists(st.binary(max_size=300), max_size=30), st.integers(1, 30))
def test_words_are_counted_whatever_they_are(words: list[bytes], most: int) -> None:
    asked = message("ModelInferRequest")()
    asked.inputs.add(name="x").contents.bytes_contents.extend(words)
    asked.inputs[0].contents.int_contents.extend([1] * 30)  # the smallest body is long enough
    with patch.object(module, "MOST_LISTED", most + 30):
        if len(words) <= most:
            check_listed(asked.SerializeToString())
        else:
            with pytest.raises(BadRequest, match="one by one"):
                check_listed(asked.SerializeToString())
