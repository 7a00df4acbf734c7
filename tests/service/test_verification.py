from __future__ import annotations

import numpy as np
import pytest

from service.pack import Array
from service.verification import largest_error as largest_of_answers


def largest_error(found: list[Array], wanted: list[Array]) -> float:
    return largest_of_answers({"y": found}, {"y": wanted})


def arrays(*values: object) -> list[np.ndarray]:
    return [np.array(v, np.float32) for v in values]


def test_a_small_sequence_cannot_hide_behind_a_large_one() -> None:
    wanted = arrays([1.0], [1.0], [1000.0])
    assert largest_error(arrays([1.0], [1.5], [1000.0]), wanted) == pytest.approx(0.5)
    assert largest_error(arrays([1.0], [1.0], [1000.5]), wanted) == pytest.approx(5e-4)


def test_small_answers_are_measured_by_their_own_size() -> None:
    assert largest_error(arrays([0.0], [0.0]), arrays([5e-6], [-5e-6])) == pytest.approx(1)


def test_equal_is_zero_even_where_all_is_zero_or_empty() -> None:
    for same in (arrays([0.0, 0.0]), arrays(np.zeros((0, 2)), [1.0]), []):
        assert largest_error(same, same) == 0


def test_wrong_is_infinite_where_nothing_but_zero_was_wanted() -> None:
    assert largest_error(arrays([1e-9]), arrays([0.0])) == float("inf")


def test_another_shape_is_infinitely_wrong() -> None:
    assert largest_error(arrays([1, 2]), arrays([1, 2, 3])) == float("inf")


def test_an_offset_hides_nothing() -> None:
    wanted = arrays([1e5 - 1], [1e5 + 1], [1e5])
    constant = arrays([1e5], [1e5], [1e5])
    assert largest_error(constant, wanted) == pytest.approx(1e-3, rel=0.01)


def test_a_number_in_larger_units_beside_it_hides_nothing() -> None:
    wanted = arrays([1e6, 1.0], [2e6, -1.0], [3e6, 0.5])
    without = arrays([1e6, 0.0], [2e6, 0.0], [3e6, 0.0])
    assert largest_error(without, wanted) > 5e-4


def test_what_never_varies_has_nothing_to_hide() -> None:
    same = arrays([7.0], [7.0])
    assert largest_error(arrays([7.0000005], [7.0]), same) < 1e-6


def test_nan_in_any_output_is_noticed() -> None:
    fine, nan = arrays([1.0]), arrays([np.nan])
    for found in ({"a": fine, "b": nan}, {"a": nan, "b": fine}):
        assert np.isnan(largest_of_answers(found, {"a": fine, "b": fine}))


def test_nan_stays_nan() -> None:
    assert np.isnan(largest_error(arrays([1.0], [np.nan], [1.0]), arrays([1.0], [1.0], [1.0])))
