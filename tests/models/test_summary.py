from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.summary import Merge, Summary, merge


def summaries(how: Merge, seed: int) -> list[Summary]:
    """Three summaries of two segments; the second segment of the second is empty."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    if how != "softmax":
        return [{"field": drawn(2, 3)} for _ in range(3)]
    found = [{"top": 50 * drawn(2, 1, 3), "weighted": drawn(2, 1, 3, 4)} for _ in range(3)]
    found[1]["top"][1], found[1]["weighted"][1] = -torch.inf, 0
    return found


def assert_same(a: Summary, b: Summary) -> None:
    for field in a:
        torch.testing.assert_close(a[field], b[field])


@pytest.mark.parametrize("how", ["add", "max", "softmax"])
@given(seed=st.integers(0, 1000))
@settings(deadline=None)
def test_merging_is_associative_and_commutative(how: Any, seed: int) -> None:
    a, b, c = summaries(how, seed)
    assert_same(merge(how, merge(how, a, b), c), merge(how, a, merge(how, b, c)))
    assert_same(merge(how, a, b), merge(how, b, a))


def test_merging_two_empty_parts_is_empty_and_not_nan() -> None:
    empty = {"top": torch.full((1, 2, 3), -torch.inf), "weighted": torch.zeros(1, 2, 3, 4)}
    assert_same(merge("softmax", empty, empty), empty)
