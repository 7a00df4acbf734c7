from __future__ import annotations

from math import comb

import pytest
import torch

from models import config
from models.heads import SequenceHead
from models.layers.layer import Frame
from models.layers.sumformer import SumformerLayer
from models.pack import Pack
from models.pools import PolynomialPool, SumPool, build_pool
from models.signature import Output

POOLS: dict[str, config.Pool] = {
    "sum": config.SumPool(phi=(8,), latent_dim=5),
    "mean": config.SumPool(phi=(8,), latent_dim=5, aggregation="mean", count=True),
    "polynomial": config.PolynomialPool(degree=3),
    "max": config.MaxPool(phi=(8,), latent_dim=5),
    "attention": config.AttentionPool(seeds=2, heads=3, mix=True),
}


def pool(**changes: object) -> SumPool:
    torch.manual_seed(0)
    return SumPool(3, config.SumPool(phi=(8,), latent_dim=5, **changes), "gelu")


def pack(*lengths: int) -> Pack:
    return Pack({}, torch.tensor(lengths), dtype=torch.float64)


def test_finish_after_the_sum_equals_phi_before_it() -> None:
    mine, hidden = pool(), torch.randn(11, 3)
    late = mine.finish(mine.terms(hidden).sum(0, keepdim=True), torch.tensor([[11.0]]))
    torch.testing.assert_close(late, mine.phi(hidden).sum(0, keepdim=True))


@pytest.mark.parametrize("name", POOLS)
def test_features_do_not_depend_on_the_order_of_tokens(name: str) -> None:
    torch.manual_seed(0)
    mine, whole = build_pool(3, POOLS[name], "gelu").double(), pack(9)
    hidden = torch.randn(9, 3).double()
    rows = [
        mine.features(mine.contribution(h, whole), whole.counts) for h in (hidden, hidden.flip(0))
    ]
    torch.testing.assert_close(rows[0], rows[1])


@pytest.mark.parametrize("name", POOLS)
def test_features_have_the_stated_width_and_are_finite_for_an_empty_sequence(name: str) -> None:
    mine, sequences = build_pool(3, POOLS[name], "gelu").double(), pack(0, 4)
    found = mine.features(
        mine.contribution(torch.randn(4, 3).double(), sequences), sequences.counts
    )
    assert found.shape == (2, mine.width)
    assert found.isfinite().all()


@pytest.mark.parametrize(
    ("own", "wanted"),
    [
        ({"aggregation": "sum"}, [6.0]),
        ({"aggregation": "mean"}, [2.0]),
        ({"aggregation": "mean", "count": True}, [2.0, 1.3862944]),
    ],
)
def test_features_are_the_sum_or_mean_and_the_length(
    own: dict[str, object], wanted: list[float]
) -> None:
    mine = SumPool(3, config.SumPool(phi=(), latent_dim=1, **own), "gelu")
    found = mine.features({"sum": torch.tensor([[6.0]])}, torch.tensor([[3.0, 1.3862944]]))
    torch.testing.assert_close(found, torch.tensor([wanted]))


@pytest.mark.parametrize(("width", "degree"), [(1, 1), (1, 4), (4, 5), (3, 2), (2, 6)])
def test_monomials_are_all_of_degree_1_to_n_once(width: int, degree: int) -> None:
    mine = PolynomialPool(width, config.PolynomialPool(degree=degree), "gelu")
    assert mine.latent_dim == comb(width + degree, width) - 1
    primes = torch.tensor([2.0, 3.0, 5.0, 7.0])[:width].double()
    found = mine.terms(primes[None])[0]
    assert len(found.unique()) == mine.latent_dim  # products of primes differ if monomials do
    assert found.max() == primes[-1] ** degree


def test_monomials_keep_signs_and_zeros() -> None:
    mine = PolynomialPool(2, config.PolynomialPool(degree=3), "gelu")
    found = mine.terms(torch.tensor([[-2.0, 0.0]]))[0].tolist()
    assert found == [-2, 0, 4, 0, 0, -8, 0, 0, 0]


def test_too_many_monomials_are_refused_with_their_number() -> None:
    with pytest.raises(ValueError, match=r"53129 monomials of degree 1\.\.5 in 20 variables"):
        build_pool(20, config.PolynomialPool(degree=5), "gelu")


def test_split_psi_equals_psi_on_the_concatenation() -> None:
    torch.manual_seed(1)
    own = config.SumformerLayer(pool=config.SumPool(phi=(8,), latent_dim=5), psi=(7,), width=2)
    layer = SumformerLayer(own, Frame(3, "gelu", None))
    x, summary = torch.randn(4, 3), torch.randn(1, 5)
    weight = torch.cat([layer.from_token.weight, layer.from_summary.weight], dim=1)
    joined = torch.cat([x, summary.expand(4, 5)], dim=1)
    wanted = layer.tail(joined @ weight.T + layer.from_summary.bias)
    found = layer.readout(x, {"sum": summary}, Pack({}, torch.tensor([4])))
    torch.testing.assert_close(found, wanted)


def test_a_head_without_rho_is_linear_in_the_summary() -> None:
    own = config.SequenceHead(pool=config.SumPool(phi=(8,), latent_dim=5))
    head = SequenceHead(own, Output(per="sequence", width=2), 3, 0, "gelu")

    def read(summary: torch.Tensor) -> torch.Tensor:
        return head.readout({"sum": summary}, torch.ones(1, 2), None)

    a, b, zero = torch.randn(1, 5), torch.randn(1, 5), read(torch.zeros(1, 5))
    torch.testing.assert_close(read(a + b) - zero, read(a) + read(b) - 2 * zero)
