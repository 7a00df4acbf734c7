from __future__ import annotations

import pytest

from experiments.copying_rows import ROWS, Row, keys_for, reach, sparsity, visible

SPARSITIES = {
    "strided union": 87,
    "strided multihead": 93,
    "strided sequential": 93,
    "fixed union": 87,
    "fixed multihead": 93,
    "fixed sequential": 93,
    "star": 86,
    "random": 90,
}


def _row(name: str) -> Row:
    row = ROWS[name]
    assert row is not None
    return row


@pytest.mark.parametrize(("name", "percent"), SPARSITIES.items())
def test_sparsities_are_near_those_recalled_of_the_paper(name: str, percent: int) -> None:
    assert percent - 0.1 <= sparsity(_row(name)) < percent + 1


def test_random_keys_make_the_sparsity_asked_for() -> None:
    assert keys_for(0.9) == 26
    assert keys_for(0.5) == 176


def test_two_strided_layers_see_the_symbol_and_one_does_not() -> None:
    assert [visible(_row("strided union"), depth) for depth in (1, 2)] == [0, 100]


def test_one_fixed_layer_sees_the_ends_of_eight_blocks() -> None:
    assert visible(_row("fixed union"), 1) == pytest.approx(100 * 8 / 127)


def test_a_star_reaches_all_in_two_layers() -> None:
    assert reach(_row("star")) == 2
