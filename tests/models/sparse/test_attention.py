from __future__ import annotations

from math import inf

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.sparse import attention as module
from models.sparse.attention import sparse_attention
from models.sparse.check import matrix
from models.sparse.patterns import (
    PATTERNS,
    Columns,
    Globals,
    OwnBlock,
    Pattern,
    Random,
    Residue,
    Star,
    Union,
    Window,
)

EVERY: list[Pattern] = [
    Window(1),
    Window(6),
    Residue(4),
    OwnBlock(5),
    Columns(4),
    Star(2),
    Random(3, 1),
    Globals(2),
    Union(PATTERNS["strided"](5)),
    Union(PATTERNS["fixed"](5)),
    *PATTERNS["window_global"](4, 2),
    *PATTERNS["bigbird"](4, 2, 3),
]


def tensors(
    n: int, batch: int = 2, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value (batch, n, 3, 4)."""
    generator = torch.Generator().manual_seed(n)
    q, k, v = torch.randn((3, batch, n, 3, 4), generator=generator, dtype=dtype)
    return q, k, v


def dense(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, scale: float) -> Tensor:
    scores = scale * torch.einsum("bihw,bjhw->bhij", q, k)
    scores = scores.masked_fill(~matrix(pattern, q.shape[1]), -inf)
    return torch.einsum("bhij,bjhw->bihw", scores.softmax(3), v)


@pytest.mark.parametrize("pattern", EVERY, ids=str)
@settings(max_examples=25, deadline=None)
@given(n=st.integers(0, 70))
def test_equals_dense_attention_with_a_mask(pattern: Pattern, n: int) -> None:
    found = sparse_attention(*tensors(n), pattern, 0.7)
    torch.testing.assert_close(found, dense(*tensors(n), pattern, 0.7), atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("n", [1, 2, 23])
@pytest.mark.parametrize("pattern", EVERY, ids=str)
def test_gradients_equal_those_of_dense_attention(pattern: Pattern, n: int) -> None:
    q, k, v = (x.requires_grad_() for x in tensors(n))
    weight = torch.randn(2, n, 3, 4, dtype=torch.float64)
    found = torch.autograd.grad(sparse_attention(q, k, v, pattern, 0.7), (q, k, v), weight)
    wanted = torch.autograd.grad(dense(q, k, v, pattern, 0.7), (q, k, v), weight)
    torch.testing.assert_close(found, wanted, atol=1e-10, rtol=1e-10)


def test_numeric_gradients_agree() -> None:
    inputs = [x.requires_grad_() for x in tensors(7, batch=1)]
    pattern = Union(PATTERNS["fixed"](3))
    assert torch.autograd.gradcheck(lambda q, k, v: sparse_attention(q, k, v, pattern, 0.5), inputs)


@pytest.mark.parametrize("most", [1, 50, 1000])
@pytest.mark.parametrize("pattern", EVERY, ids=str)
def test_the_result_does_not_depend_on_where_tiles_are_cut(pattern: Pattern, most: int) -> None:
    wanted = sparse_attention(*tensors(40), pattern, 0.7, None)
    found = sparse_attention(*tensors(40), pattern, 0.7, most)
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=1e-12)


def test_scores_stay_below_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    real = module.Tile.mask

    def mask(tile: module.Tile) -> Tensor:
        sizes.append(real(tile).numel())
        return real(tile)

    monkeypatch.setattr(module.Tile, "mask", mask)
    sparse_attention(*tensors(100), Union(PATTERNS["fixed"](10)), 0.7, most=6 * 200)
    assert max(sizes) <= 200


def test_scores_far_from_zero_stay_exact() -> None:
    q, k, v = tensors(30)
    found = sparse_attention(q * 1e3, k, v, Star(2), 1.0)
    torch.testing.assert_close(found, dense(q * 1e3, k, v, Star(2), 1.0), atol=1e-10, rtol=1e-10)


def test_float32_comes_back_as_float32() -> None:
    q, k, v = tensors(50, dtype=torch.float32)
    found = sparse_attention(q, k, v, Union(PATTERNS["strided"](7)), 0.7)
    torch.testing.assert_close(found, dense(q, k, v, Union(PATTERNS["strided"](7)), 0.7))


def test_values_may_be_wider_than_keys() -> None:
    q, k, v = tensors(9)
    found = sparse_attention(q, k, torch.cat([v, v], dim=3), Window(3), 0.7)
    assert torch.equal(found[..., :4], found[..., 4:])


def test_no_sequences_give_no_rows() -> None:
    assert sparse_attention(*tensors(9, batch=0), Window(3), 0.7).shape == (0, 9, 3, 4)


def test_sequences_do_not_see_each_other() -> None:
    q, k, v = tensors(20)
    both = sparse_attention(q, k, v, Star(2), 0.7)
    torch.testing.assert_close(sparse_attention(q[:1], k[:1], v[:1], Star(2), 0.7), both[:1])
