from __future__ import annotations

import pytest
import torch
from sklearn.mixture import GaussianMixture

from models.config import AttentionPool, SequenceHead
from models.tasks.mixture_of_gaussians import SEEDED, SMALLEST, TASK, Mixture, sample, truth


def test_the_true_parameters_reach_the_published_likelihood() -> None:
    batch = TASK.tested(1_500, torch.Generator().manual_seed(0))
    found = truth(batch).log_likelihood(batch.pack).item()
    assert found == pytest.approx(-1.4726, abs=0.03)


def test_weights_are_uniform_on_the_simplex() -> None:
    batch = sample(torch.ones(20_000, dtype=torch.int64), torch.Generator().manual_seed(0))
    weights = batch.targets["log_weights"].exp()
    torch.testing.assert_close(weights.sum(1), torch.ones(20_000))
    # Dirichlet(1, 1, 1, 1): mean 1 / 4, variance 3 / 80.
    torch.testing.assert_close(weights.mean(0), torch.full((4,), 0.25), atol=0.01, rtol=0)
    torch.testing.assert_close(weights.var(0), torch.full((4,), 3 / 80), atol=0.003, rtol=0)


def test_points_lie_around_the_means_by_the_weights() -> None:
    batch = sample(torch.tensor([20_000]), torch.Generator().manual_seed(1))
    share = truth(batch).joint(batch.pack).softmax(1).mean(0)
    torch.testing.assert_close(share, batch.targets["log_weights"][0].exp(), atol=0.01, rtol=0)


def test_lengths_are_100_to_500_and_means_fill_the_square() -> None:
    batch = TASK.tested(2_000, torch.Generator().manual_seed(0))
    assert batch.pack.lengths.min() == 100
    assert batch.pack.lengths.max() == 500
    assert 3.9 < batch.targets["means"].abs().max() <= 4


def test_likelihood_and_em_agree_with_scikit_learn() -> None:
    batch = sample(torch.tensor([300]), torch.Generator().manual_seed(0))
    start, points = truth(batch), batch.pack.columns["x"].double().numpy()
    theirs = GaussianMixture(
        4,
        covariance_type="diag",
        means_init=start.means[0].double().numpy(),
        weights_init=start.log_weights[0].double().exp().numpy(),
        precisions_init=1 / start.sigmas[0].double().square().numpy(),
        max_iter=2,
        tol=1e3,  # Any two bounds are that near: it stops after two steps.
        reg_covar=0,
    ).fit(points)
    ours = start.after_em(batch.pack).after_em(batch.pack)
    assert ours.log_likelihood(batch.pack).item() == pytest.approx(theirs.score(points), abs=1e-4)


def test_a_step_of_em_never_lowers_the_likelihood() -> None:
    batch = TASK.tested(50, torch.Generator().manual_seed(0))
    rows = torch.randn(50, 20, generator=torch.Generator().manual_seed(1))
    figures = TASK.figures({"mixture": rows}, batch)
    assert figures["log_likelihood"] < figures["log_likelihood_after_em"] < figures["oracle"]


def test_any_row_of_numbers_is_a_mixture() -> None:
    mixture = Mixture.of_output(100 * torch.randn(10, 20))
    torch.testing.assert_close(mixture.log_weights.exp().sum(1), torch.ones(10))
    assert mixture.sigmas.min() >= SMALLEST


@pytest.mark.parametrize("architecture", SEEDED)
def test_there_is_a_seed_per_cluster(architecture: str) -> None:
    head = TASK.config(architecture).heads[0]
    assert isinstance(head, SequenceHead)
    assert isinstance(head.pool, AttentionPool)
    assert (head.pool.seeds, head.pool.mix) == (4, True)


def test_batches_hold_equally_many_points_in_few_or_many_sets() -> None:
    generator = torch.Generator().manual_seed(0)
    packs = [TASK.batch(generator).pack for _ in range(200)]
    every = torch.cat([pack.lengths for pack in packs])
    low, high = TASK.trained_lengths
    assert low <= every.min() < low + 10
    assert high - 30 < every.max() <= high
    assert min(pack.sequences for pack in packs) < 10 < 50 < max(pack.sequences for pack in packs)
    assert 2_000 < min(pack.tokens for pack in packs) <= max(pack.tokens for pack in packs) < 4_000
