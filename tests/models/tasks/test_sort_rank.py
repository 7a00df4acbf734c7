from __future__ import annotations

import numpy as np
import pytest
import torch

from models.pack import Pack
from models.tasks.sort_rank import TASK, distinct, ranks


def test_ranks_are_places_in_the_sorted_set() -> None:
    batch = TASK.sample(torch.tensor([5, 0, 1, 30]), torch.Generator().manual_seed(0))
    last = batch.pack.columns["x"][-30:, 0].numpy()
    np.testing.assert_allclose(batch.targets["rank"][-30:], last.argsort().argsort() / 30)
    assert batch.targets["rank"][5] == 0


def test_sets_do_not_see_each_other() -> None:
    numbers = torch.tensor([0.5, 0.25, 0.0, 0.125, 0.75])
    assert ranks(numbers, Pack({}, torch.tensor([2, 3]))).tolist() == [1, 0, 0, 1, 2]


def test_numbers_of_a_set_differ_even_in_long_sets() -> None:
    # 4000 draws of 24 bits have two equal ones every third time.
    for seed in range(8):
        numbers = distinct(torch.tensor([4000]), torch.Generator().manual_seed(seed))
        assert len(set(numbers.tolist())) == 4000


def test_accuracy_forgives_less_than_half_a_rank() -> None:
    batch = TASK.sample(torch.tensor([20, 20]), torch.Generator().manual_seed(0))
    off = torch.full((40,), 0.4 / 20)
    off[:10] = 0.6 / 20
    figures = TASK.figures({"rank": (batch.targets["rank"] + off)[:, None]}, batch)
    assert figures["accuracy"] == pytest.approx(0.75)
    assert figures["rmse"] == pytest.approx(off.square().mean().sqrt().item())
