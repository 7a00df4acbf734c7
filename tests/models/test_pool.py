from __future__ import annotations

import pytest
import torch

from models.config import LayerConfig, PoolConfig, SequenceHead
from models.pool import Pool, SumHead, SumLayer


def pool(**changes: object) -> Pool:
    torch.manual_seed(0)
    return Pool(3, PoolConfig(phi=(8,), latent_dim=5, **changes), "gelu")


def test_finish_after_the_sum_equals_phi_before_it() -> None:
    mine, hidden = pool(), torch.randn(11, 3)
    late = mine.finish(mine.terms(hidden).sum(0, keepdim=True), torch.tensor([[11.0]]))
    torch.testing.assert_close(late, mine.phi(hidden).sum(0, keepdim=True))


def test_parts_finished_apart_add_up() -> None:
    mine, hidden = pool(), torch.randn(11, 3)
    terms = mine.terms(hidden)
    whole = mine.finish(terms.sum(0, keepdim=True), torch.tensor([[11.0]]))
    first = mine.finish(terms[:4].sum(0, keepdim=True), torch.tensor([[4.0]]))
    rest = mine.finish(terms[4:].sum(0, keepdim=True), torch.tensor([[7.0]]))
    torch.testing.assert_close(first + rest, whole)


def test_an_empty_part_contributes_nothing() -> None:
    mine = pool()
    assert not mine.finish(torch.zeros(1, 8), torch.zeros(1, 1)).any()


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({"aggregation": "sum"}, [6.0]),
        ({"aggregation": "mean"}, [2.0]),
        ({"aggregation": "mean", "count": True}, [2.0, 1.3862944]),
    ],
)
def test_features_are_the_sum_or_mean_and_the_length(
    config: dict[str, object], wanted: list[float]
) -> None:
    mine = Pool(3, PoolConfig(phi=(), latent_dim=1, **config), "gelu")
    found = mine.features(torch.tensor([[6.0]]), torch.tensor([[3.0, 1.3862944]]))
    torch.testing.assert_close(found, torch.tensor([wanted]))


def test_mean_of_an_empty_sequence_is_zero() -> None:
    found = pool(aggregation="mean").features(torch.zeros(1, 5), torch.zeros(1, 2))
    assert not found.any()


def test_split_psi_equals_psi_on_the_concatenation() -> None:
    torch.manual_seed(1)
    config = LayerConfig(pool=PoolConfig(phi=(8,), latent_dim=5), psi=(7,), width=2)
    layer = SumLayer(3, config, "gelu")
    x, summary = torch.randn(4, 3), torch.randn(1, 5)
    weight = torch.cat([layer.from_token.weight, layer.from_summary.weight], dim=1)
    joined = torch.cat([x, summary.expand(4, 5)], dim=1)
    wanted = layer.tail(joined @ weight.T + layer.from_summary.bias)
    found = layer.readout(x, summary, torch.ones(1, 2), torch.zeros(4, dtype=torch.int64))
    torch.testing.assert_close(found, wanted)


def test_a_head_without_rho_is_linear_in_the_summary() -> None:
    head = SumHead(3, SequenceHead(width=2, pool=PoolConfig(phi=(8,), latent_dim=5)), "gelu")
    a, b, one = torch.randn(1, 5), torch.randn(1, 5), torch.ones(1, 2)
    zero = head.readout(torch.zeros(1, 5), one)
    torch.testing.assert_close(
        head.readout(a + b, one) - zero, head.readout(a, one) + head.readout(b, one) - 2 * zero
    )
