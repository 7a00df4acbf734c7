from __future__ import annotations

import pytest
import torch

from models.tasks.centroid_distance import SPREAD, TASK


def test_targets_are_distances_to_the_mean_of_the_set() -> None:
    batch = TASK.sample(torch.tensor([4, 0, 7]), torch.Generator().manual_seed(0))
    last = batch.pack.columns["x"][4:]
    wanted = torch.linalg.vector_norm(last - last.mean(0), dim=1)
    torch.testing.assert_close(batch.targets["distance"][4:, 0], wanted)


def test_a_point_alone_is_its_own_centroid() -> None:
    batch = TASK.sample(torch.ones(5, dtype=torch.int64), torch.Generator().manual_seed(0))
    assert batch.targets["distance"].abs().max() == 0


def test_clusters_differ_in_centre_and_spread() -> None:
    batch = TASK.sample(torch.full((200,), 100), torch.Generator().manual_seed(0))
    points = batch.pack.columns["x"].view(200, 100, 3)
    assert points.mean(1).std().item() == pytest.approx(3, abs=0.3)
    spreads = points.std(dim=1).mean(1)
    assert spreads.min() < SPREAD[0] + 0.3
    assert spreads.max() > SPREAD[1] - 0.4


def test_answering_zero_has_an_error_of_one() -> None:
    batch = TASK.batch(torch.Generator().manual_seed(0))
    nothing = torch.zeros_like(batch.targets["distance"])
    assert TASK.figures({"distance": nothing}, batch)["relative_error"] == pytest.approx(1)
