from __future__ import annotations

import pytest
import torch

from experiments.architectures import MODELS, REFERENCE, TARGETS, equal, others, parameters, sized


@pytest.mark.parametrize("name", MODELS)
def test_every_architecture_has_as_many_parameters_within_two_percent(name: str) -> None:
    assert parameters(equal(name)) == pytest.approx(parameters(equal(REFERENCE)), rel=0.02)


@pytest.mark.parametrize("name", MODELS)
def test_hidden_widths_stay_near_twice_the_width(name: str) -> None:
    width, hidden = sized(name, parameters(equal(REFERENCE)))
    assert 1.5 <= hidden / width <= 2.5


def test_others_are_distributed_as_a_sum_of_four() -> None:
    x = torch.rand(4000, 64, 2, generator=torch.Generator().manual_seed(0))
    assert others(x).mean().item() == pytest.approx(2, abs=0.02)
    assert others(x).std().item() == pytest.approx((4 / 12) ** 0.5, rel=0.02)


def test_others_are_the_plain_sum_at_five_tokens() -> None:
    x = torch.rand(3, 5, 4)
    assert torch.allclose(others(x), x.sum(1, keepdim=True) - x, atol=1e-6)


@pytest.mark.parametrize("name", TARGETS)
def test_targets_are_equivariant(name: str) -> None:
    x, order = torch.rand(2, 64, 4), torch.randperm(64)
    assert torch.allclose(TARGETS[name](x)[:, order], TARGETS[name](x[:, order]), atol=1e-4)
