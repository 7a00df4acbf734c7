from __future__ import annotations

import pytest
import torch

from models.tasks.polynomial import relative_error, sample, target


def test_target_is_the_formula_of_figure_2() -> None:
    x1, x2, x3 = torch.rand(3, 4)
    wanted = x1 + 7 * x1**2 + 3 * x1 * (x2 + x3) ** 3
    torch.testing.assert_close(target(torch.stack([x1, x2, x3])[None])[0, 0], wanted)


def test_predicting_zero_has_an_error_of_one() -> None:
    wanted = torch.rand(5, 4)
    assert relative_error(torch.zeros(5, 4), wanted).item() == pytest.approx(1)


def test_samples_are_fresh_and_uniform() -> None:
    generator = torch.Generator().manual_seed(0)
    (a, _), (b, _) = sample(500, generator), sample(500, generator)
    assert not torch.equal(a.tokens, b.tokens)
    assert a.tokens.min() >= 0
    assert a.tokens.max() <= 1
    assert a.tokens.mean().item() == pytest.approx(0.5, abs=0.02)
