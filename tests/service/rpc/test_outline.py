from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import BadRequest
from service.rpc.messages import message
from service.rpc.outline import outline

MOST = 16


def requests() -> st.SearchStrategy[Any]:
    parts = {
        "model_name": st.text(max_size=200),
        "model_version": st.text(max_size=3),
        "id": st.text(max_size=3),
        "raw_input_contents": st.lists(st.binary(max_size=300), max_size=MOST),
    }
    return st.fixed_dictionaries(parts).map(lambda own: message("ModelInferRequest")(**own))


@given(requests())
def test_the_model_is_the_one_that_the_parsed_message_names(asked: Any) -> None:
    found = outline(asked.SerializeToString(), MOST)
    assert found == (asked.model_name, asked.model_version or None)


@given(st.binary(max_size=60))
def test_whatever_is_no_message_is_a_bad_request_or_left_to_the_parser(body: bytes) -> None:
    try:
        name, version = outline(body, MOST)
    except BadRequest as error:
        assert "message" in str(error) or "UTF-8" in str(error)  # noqa: PT017
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


@pytest.mark.parametrize("crumb", [b"\x2a\x00", b"\x3a\x00", b"\x32\x00", b"\x7a\x00", b"\x78\x00"])
def test_a_message_of_crumbs_is_refused_before_it_is_parsed(crumb: bytes) -> None:
    assert outline(crumb * MOST, MOST) == ("", None)
    with pytest.raises(BadRequest, match="more than 67 fields; the limit is 16 tensors"):
        outline(crumb * 1_000_000, MOST)
