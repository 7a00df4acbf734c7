from __future__ import annotations

import math

import pytest
import torch

from models.tasks.sum_of_squares import TASK, moment_norm, sample, sum_of_squares

LENGTHS = torch.tensor([3, 0, 5])


def test_targets_are_the_sums_of_squared_norms() -> None:
    pack = sample(LENGTHS, torch.Generator().manual_seed(0))
    first, last = pack.columns["x"][:3], pack.columns["x"][3:]
    wanted = torch.stack([first.square().sum(), torch.tensor(0.0), last.square().sum()])
    torch.testing.assert_close(sum_of_squares(pack)[:, 0], wanted)


@pytest.mark.parametrize("power", [1, 2, 3])
def test_moment_norms_are_the_sums_of_powers_of_all_inner_products(power: int) -> None:
    pack = sample(LENGTHS, torch.Generator().manual_seed(0))
    last = pack.columns["x"][3:]
    wanted = (last @ last.T).pow(power).sum()
    torch.testing.assert_close(moment_norm(pack, power)[2, 0], wanted)


def test_moments_take_as_many_numbers_as_the_formula_says() -> None:
    """Distinct sets of one token have linearly independent moments up to that number only."""
    tokens = sample(torch.tensor([60]), torch.Generator().manual_seed(0)).columns["x"].double()
    for power in (1, 2, 3):
        rank = torch.linalg.matrix_rank((tokens @ tokens.T).pow(power))
        assert rank == math.comb(4 + power - 1, power)


def test_tokens_fill_the_cube_and_lengths_the_trained_range() -> None:
    pack = TASK.batch(torch.Generator().manual_seed(0)).pack
    assert set(pack.lengths.tolist()) == set(range(1, 11))
    assert pack.columns["x"].min() >= -1
    assert pack.columns["x"].max() <= 1
    assert pack.columns["x"].mean().item() == pytest.approx(0, abs=0.03)
