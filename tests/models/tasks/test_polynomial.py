from __future__ import annotations

import pytest
import torch

from models.config import PolynomialPool
from models.tasks.polynomial import Polynomial, relative_error, sample, target


def test_target_is_the_formula_of_figure_2() -> None:
    x1, x2, x3 = torch.rand(3, 4)
    wanted = x1 + 7 * x1**2 + 3 * x1 * (x2 + x3) ** 3
    torch.testing.assert_close(target(torch.stack([x1, x2, x3])[None])[0, 0], wanted)


def test_predicting_zero_has_an_error_of_one() -> None:
    wanted = torch.rand(5, 4)
    assert relative_error(torch.zeros(5, 4), wanted).item() == pytest.approx(1)


def test_samples_are_fresh_and_uniform() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (sample(500, generator).pack.columns["x"] for _ in range(2))
    assert not torch.equal(a, b)
    assert a.min() >= 0
    assert a.max() <= 1
    assert a.mean().item() == pytest.approx(0.5, abs=0.02)


def test_long_sequences_are_answered_in_a_unit_of_their_size_and_drawn_in_small_batches() -> None:
    task = Polynomial(300, 10)
    (output,) = task.signature.outputs
    batch = task.batch(torch.Generator().manual_seed(0))
    assert 1 < (batch.targets["y"].std() / output.scale[0]).item() < 5
    assert batch.pack.tokens * 10 <= 2_000_000
    assert Polynomial().signature.outputs[0].scale == ()


def test_monomials_go_up_to_the_degree_that_the_proof_asks_for() -> None:
    (block,) = Polynomial(5, 3).config("sumformer-polynomial").blocks
    assert block.mixing.kind == "sumformer"
    assert block.mixing.pool == PolynomialPool(degree=5)


@pytest.mark.parametrize(("n", "d"), [(1, 1), (5, 2), (3, 10)])
def test_any_length_and_width(n: int, d: int) -> None:
    task = Polynomial(n, d)
    batch = task.batch(torch.Generator().manual_seed(0))
    assert batch.pack.columns["x"].shape == batch.targets["y"].shape == (512 * n, d)
    assert set(batch.pack.lengths.tolist()) == {n}
    assert task.signature.outputs[0].width == d
