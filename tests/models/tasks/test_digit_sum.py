from __future__ import annotations

import torch

from models.tasks.digit_sum import TASK, sample


def test_targets_are_the_sums() -> None:
    batch = sample(torch.tensor([2, 0, 3]), torch.Generator().manual_seed(0))
    ids = batch.pack.columns["digits"]
    assert batch.targets["sum"][:, 0].tolist() == [int(ids[:2].sum()), 0, int(ids[2:].sum())]


def test_training_never_sees_longer_sets_than_it_says() -> None:
    generator = torch.Generator().manual_seed(0)
    longest = max(int(TASK.batch(generator).pack.lengths.max()) for _ in range(20))
    assert longest == TASK.trained_lengths[1]
