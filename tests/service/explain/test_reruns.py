"""Sequences without each of their tokens, as a pack."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import BadRequest
from service.explain.reruns import omitting, without_each
from service.explain.subject import check_runs, check_shorter, explained
from service.pack import Pack
from tests.service.fakes import EVENTS, manifest


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6))
def test_every_sequence_is_followed_by_itself_without_each_token(lengths: list[int]) -> None:
    tokens, ages = np.arange(sum(lengths)), np.arange(len(lengths))
    pack = Pack({"x": tokens}, np.array(lengths), {"age": ages})
    found = without_each(pack)
    wanted: list[list[int]] = []
    owners: list[int] = []
    for i, own in enumerate(pack.split(tokens)):
        wanted += [own.tolist(), *(np.delete(own, token).tolist() for token in range(len(own)))]
        owners += [i] * (len(own) + 1)
    assert [part.tolist() for part in found.split(found.columns["x"])] == wanted
    assert found.context["age"].tolist() == owners


def test_of_no_token_none_is_left_out() -> None:
    assert omitting(0).tolist() == []
    assert omitting(1).tolist() == []
    assert omitting(3).tolist() == [1, 2, 0, 2, 0, 1]


def test_the_limit_names_the_longest_sequence() -> None:
    check_runs(np.array([0, 1, 3]), 6)
    with pytest.raises(BadRequest, match=r"sequence 1: 4 tokens.* 18 tokens in all.* is 17 per"):
        check_runs(np.array([3, 4, 1]), 17)


def test_a_sequence_that_may_not_be_shorter_is_named() -> None:
    own = manifest("m", lengths=(2, None))
    check_shorter(own, np.array([3, 4]))
    check_shorter(manifest("m"), np.array([0, 1]))
    with pytest.raises(BadRequest, match=r"sequence 1: 2 tokens; .* there are 1, the minimum is 2"):
        check_shorter(own, np.array([3, 2]))


def test_outputs_per_token_are_not_explained() -> None:
    assert [output.name for output in explained(EVENTS)] == ["risk"]
    with pytest.raises(BadRequest, match="model 'm' cannot be explained: all of its outputs"):
        explained(manifest("m", per="token"))
