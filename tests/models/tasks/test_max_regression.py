from __future__ import annotations

import torch

from models.tasks.max_regression import TASK


def test_targets_are_the_largest_of_each_set() -> None:
    batch = TASK.sample(torch.tensor([2, 3]), torch.Generator().manual_seed(0))
    numbers = batch.pack.columns["x"]
    assert batch.targets["max"].tolist() == [[numbers[:2].max()], [numbers[2:].max()]]


def test_numbers_are_the_integers_from_1_to_99() -> None:
    numbers = TASK.validation().pack.columns["x"][:, 0]
    assert set(numbers.tolist()) == set(range(1, 100))


def test_lengths_are_uniform_from_1_to_10() -> None:
    counts = torch.bincount(TASK.validation().pack.lengths)
    assert len(counts) == 11
    assert counts[0] == 0
    assert counts[1:].min() > 800


def test_the_figure_is_the_mean_absolute_error_in_the_unit_of_the_numbers() -> None:
    batch = TASK.batch(torch.Generator().manual_seed(0))
    off = torch.tensor([0.5, -1.5]).repeat(len(batch.targets["max"]) // 2)[:, None]
    assert TASK.figures({"max": batch.targets["max"] + off}, batch) == {"mae": 1.0}
