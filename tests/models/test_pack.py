from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.buckets import buckets, gather, scatter
from tests.models import small

LENGTHS = st.one_of(
    st.lists(st.integers(0, 600), min_size=1, max_size=8),
    st.lists(st.integers(0, 3).map(lambda n: 256 * n), min_size=1, max_size=8),
    st.integers(0, 600).flatmap(lambda n: st.integers(1, 8).map(lambda many: [n] * many)),
)


def rows(count: int, *shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, *shape, generator=generator, dtype=torch.float64)


@given(lengths=LENGTHS)
@settings(deadline=None)
def test_outer_is_the_sum_of_outer_products_of_each_sequence(lengths: list[int]) -> None:
    pack, total = small.pack(lengths), sum(lengths)
    left, right = rows(total, 2, 3), rows(total, 2, 4, seed=1)
    wanted = [
        torch.einsum("tha,thb->hab", a, b)
        for a, b in zip(left.split(lengths), right.split(lengths), strict=True)
    ]
    torch.testing.assert_close(pack.outer(left, right), torch.stack(wanted))


@given(lengths=LENGTHS)
@settings(deadline=None)
def test_apply_multiplies_each_token_with_its_sequence_s_matrix(lengths: list[int]) -> None:
    pack, left = small.pack(lengths), rows(sum(lengths), 2, 3)
    matrices = rows(len(lengths), 2, 3, 4, seed=1)
    wanted = torch.einsum("tha,thab->thb", left, pack.spread(matrices))
    torch.testing.assert_close(pack.apply(left, matrices), wanted)


@given(lengths=LENGTHS)
@settings(deadline=None)
def test_sum_and_max_are_those_of_each_sequence(lengths: list[int]) -> None:
    pack, values = small.pack(lengths), rows(sum(lengths), 3)
    parts = values.split(lengths)
    torch.testing.assert_close(pack.sum(values), torch.stack([p.sum(0) for p in parts]))
    lowest = torch.full((1, 3), -torch.inf, dtype=torch.float64)
    largest = [torch.cat([p, lowest]).amax(0) for p in parts]
    torch.testing.assert_close(pack.max(values), torch.stack(largest))


@pytest.mark.parametrize("lengths", [[3, 0, 1, 9], [20], [1, 1, 1]])
def test_gradients_of_the_shared_sums_are_right(lengths: list[int]) -> None:
    pack, total = small.pack(lengths), sum(lengths)
    left, right = rows(total, 2, 2).requires_grad_(), rows(total, 2, 3, seed=1).requires_grad_()
    matrices = rows(len(lengths), 2, 2, 3, seed=2).requires_grad_()
    flat = rows(total, 2).requires_grad_()
    assert torch.autograd.gradcheck(pack.outer, (left, right))
    assert torch.autograd.gradcheck(pack.apply, (left, matrices))
    assert torch.autograd.gradcheck(pack.sum, (flat,))
    used = torch.autograd.gradcheck(lambda v: pack.max(v)[pack.lengths > 0], (flat,))
    assert used


@given(lengths=LENGTHS)
@settings(deadline=None)
def test_positions_and_owners_count_every_token_once(lengths: list[int]) -> None:
    pack = small.pack(lengths)
    assert pack.position.tolist() == [i for n in lengths for i in range(n)]
    assert pack.owner.tolist() == [s for s, n in enumerate(lengths) for _ in range(n)]
    first = pack.first(torch.arange(pack.tokens))
    assert first.tolist() == [sum(lengths[:s]) for s, n in enumerate(lengths) for _ in range(n)]


@given(lengths=LENGTHS, exact=st.booleans())
@settings(deadline=None)
def test_buckets_hold_every_token_once_and_waste_little(lengths: list[int], exact: bool) -> None:
    pack = small.pack(lengths)
    found = buckets(pack, exact)
    held = torch.cat([b.rows.flatten() for b in found]) if found else torch.zeros(0)
    assert sorted(held[held < pack.tokens].tolist()) == list(range(pack.tokens))
    for bucket in found:
        each = bucket.valid.sum(1)
        assert bucket.full == bool(bucket.valid.all())
        assert each.min() >= bucket.rows.shape[1] / (1 if exact else 1.25)


@given(lengths=LENGTHS)
@settings(deadline=None)
def test_scatter_undoes_gather(lengths: list[int]) -> None:
    pack, values = small.pack(lengths), rows(sum(lengths), 2, 3)
    found = buckets(pack)
    assert torch.equal(scatter([gather(values, b) for b in found], found, values), values)
