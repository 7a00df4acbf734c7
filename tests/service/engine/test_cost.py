from __future__ import annotations

import random

import pytest

from service.engine.cost import Cost


def learned(slope: float, start: float, steps: int = 300, noise: float = 0.0) -> Cost:
    rng, cost = random.Random(0), Cost()
    for _ in range(steps):
        tokens = rng.randint(1, 16_384)
        cost.observe(tokens, (slope * tokens + start) * (1 + noise * rng.uniform(-1, 1)))
    return cost


@pytest.mark.parametrize(("slope", "start"), [(1.7e-6, 3e-4), (2e-7, 1e-4), (1e-4, 0.0)])
def test_a_line_is_learned(slope: float, start: float) -> None:
    cost = learned(slope, start)
    for tokens in (100, 4096, 16_384):
        assert cost.seconds(tokens) == pytest.approx(slope * tokens + start, rel=0.05)
    assert cost.tokens(0.01) == pytest.approx((0.01 - start) / slope, rel=0.05)


def test_noise_and_wild_steps_move_it_little() -> None:
    cost = learned(1.7e-6, 3e-4, noise=0.3)
    before = cost.seconds(4096)
    cost.observe(4096, 30.0)
    assert cost.seconds(4096) < 1.2 * before


def test_it_follows_when_steps_become_slower() -> None:
    cost = learned(1.7e-6, 3e-4)
    rng = random.Random(1)
    for _ in range(300):
        tokens = rng.randint(1, 16_384)
        cost.observe(tokens, 5e-6 * tokens)
    assert cost.seconds(10_000) == pytest.approx(0.05, rel=0.1)


def test_steps_of_one_size_give_an_answer_all_the_same() -> None:
    cost = Cost()
    for _ in range(500):
        cost.observe(1000, 0.002)
    assert cost.seconds(1000) == pytest.approx(0.002, rel=0.1)
    assert cost.tokens(0.004) > 0
    assert all(part >= 0 for part in cost.line)
