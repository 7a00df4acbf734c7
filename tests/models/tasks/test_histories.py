from __future__ import annotations

import pytest
import torch

from models.tasks.histories import (
    BUDGET,
    CATEGORIES,
    TASK,
    natural_lengths,
    odd,
    sample,
    thresholds,
    within,
)
from models.tasks.task import Batch

LENGTHS = torch.tensor([1, 2, 3, 5, 10, 100, 1000]).repeat(40)
HISTORIES = sample(LENGTHS, torch.Generator().manual_seed(0))


def shares(batch: Batch) -> torch.Tensor:
    """(N,) odd events per event, over what the profile allows."""
    count = batch.pack.sum(odd(batch.pack)[:, None].double())[:, 0]
    return count / batch.pack.lengths.clamp(min=1) / thresholds(batch.pack.context)


@pytest.mark.parametrize("length", [1, 2, 10, 100, 10_000, 200_000])
def test_the_label_says_whether_the_share_exceeds_what_is_allowed(length: int) -> None:
    batch = TASK.of_length(length, count=4)
    assert torch.equal((shares(batch) > 1).long(), batch.targets["risk"])


def test_no_share_is_near_its_threshold() -> None:
    found = shares(HISTORIES)
    assert not ((found > 0.81) & (found < 1.24)).any()


@pytest.mark.parametrize("length", [1, 2, 10, 1000])
def test_half_of_the_histories_of_every_length_are_a_risk(length: int) -> None:
    assert TASK.of_length(length, count=50).targets["risk"].sum() == 25


def test_an_empty_history_is_no_risk() -> None:
    assert TASK.of_length(0, count=6).targets["risk"].sum() == 0


def test_times_rise_from_any_start() -> None:
    time, pack = HISTORIES.pack.columns["time"], HISTORIES.pack
    assert time.dtype == torch.float64
    assert (time.diff()[pack.owner.diff() == 0] > 0).all()
    assert time[pack.starts].max() - time[pack.starts].min() > 10_000


def test_the_first_event_does_not_give_the_label_away() -> None:
    batch = TASK.of_length(50, count=2_000)
    first = odd(batch.pack)[batch.pack.starts]
    risk = batch.targets["risk"] == 1
    assert (first == risk).float().mean().item() < 0.75


def test_the_profile_is_needed() -> None:
    """No one threshold for all profiles is right for nearly all of them."""
    batch = TASK.of_length(1_000, count=400)
    share = shares(batch) * thresholds(batch.pack.context)
    risk = batch.targets["risk"] == 1
    best = max(((share > cut) == risk).float().mean().item() for cut in share)
    assert best < 0.95


def test_amounts_are_sometimes_missing_and_categories_sometimes_unknown() -> None:
    columns = HISTORIES.pack.columns
    assert 0.01 < columns["amount"].isnan().float().mean() < 0.03
    assert 0 < (columns["category"] >= CATEGORIES).float().mean() < 0.02


def test_lengths_are_log_normal_and_bounded() -> None:
    lengths = natural_lengths(20_000, torch.Generator().manual_seed(0))
    assert lengths.median().item() == pytest.approx(200, rel=0.05)
    assert lengths.max() <= 50_000
    logs = lengths.clamp(min=1).log()
    assert logs.std().item() == pytest.approx(1.4, rel=0.05)


def test_batches_hold_tokens_up_to_the_budget() -> None:
    generator = torch.Generator().manual_seed(0)
    packs = [within(BUDGET, generator) for _ in range(50)]
    assert all(int(lengths.sum()) <= BUDGET for lengths in packs if len(lengths) > 1)
    assert sum(int(lengths.sum()) for lengths in packs) > 0.8 * 50 * BUDGET


def test_a_right_answer_has_an_auc_of_one() -> None:
    logits = torch.nn.functional.one_hot(HISTORIES.targets["risk"], 2).float()
    figures = TASK.figures({"risk": logits}, HISTORIES)
    assert figures["auc"] == figures["accuracy"] == 1
