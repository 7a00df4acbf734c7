from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from models import config
from models.layers.layer import Frame
from models.layers.sparse import SparseLayer
from models.sparse.check import matrix
from models.sparse.patterns import PATTERNS, Configuration, Pattern
from tests.models import small

HEADS, LENGTHS = 3, (37, 0, 1, 36, 37, 12)
PARTS: dict[str, tuple[Pattern, ...]] = {
    "strided": PATTERNS["strided"](width=5),
    "fixed": PATTERNS["fixed"](width=5),
    "star": PATTERNS["star"](width=5),
    "random": PATTERNS["random"](keys=3, seed=7),
    "window_global": PATTERNS["window_global"](width=5, count=2),
    "bigbird": PATTERNS["bigbird"](width=5, count=2, keys=3, seed=7),
}


def layer(pattern: str, configuration: str = "union", number: int = 0, **own: bool) -> SparseLayer:
    torch.manual_seed(0)
    sizes = {"heads": HEADS, "reach": 5, "globals": 2, "keys": 3, "seed": 7, "layer": number}
    made = config.SparseLayer.model_validate(
        {"pattern": pattern, "configuration": configuration, **sizes, **own}
    )
    return SparseLayer(made, Frame(12, "gelu", None)).double()


def mask(pattern: str, configuration: str, number: int, n: int) -> Tensor:
    """(H, n, n): what each head reads, by the words of Yun et al. 2020, section 3.2."""
    parts = PARTS[pattern]
    p = len(parts)
    own: dict[str, list[tuple[Pattern, ...]]] = {
        "union": [parts] * HEADS,
        "multihead": [(parts[head * p // HEADS],) for head in range(HEADS)],
        "sequential": [(parts[number % p],)] * HEADS,
    }
    heads = enumerate(own[configuration])
    every = [[matrix(part.of_head(h), n) for part in head] for h, head in heads]
    return torch.stack([torch.stack(head).any(0) for head in every])


def dense(mine: SparseLayer, hidden: Tensor, masks: Tensor) -> Tensor:
    """One sequence (n, width), head by head with an n x n mask."""
    heads, place = mine.heads, torch.arange(len(hidden))
    q, k, v = heads.queries(hidden, place), heads.keys(hidden, place), heads.values(hidden)
    scores = torch.einsum("ihw,jhw->hij", q, k) / heads.head_width**0.5
    weights = scores.masked_fill(~masks, -torch.inf).softmax(2)
    return heads.merged(torch.einsum("hij,jhw->ihw", weights, v))


def hidden() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return 2 * torch.randn(sum(LENGTHS), 12, generator=generator, dtype=torch.float64)


def assert_dense(mine: SparseLayer, pattern: str, configuration: str, number: int) -> None:
    tokens = hidden()
    wanted = [
        dense(mine, part, mask(pattern, configuration, number, len(part)))
        for part in tokens.split(LENGTHS)
    ]
    found = mine(tokens, small.of(tokens, LENGTHS))
    torch.testing.assert_close(found, torch.cat(wanted), atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("configuration", get_args(Configuration))
@pytest.mark.parametrize("pattern", PARTS)
def test_it_is_dense_attention_under_the_mask_of_each_head(
    pattern: str, configuration: str, number: int
) -> None:
    mine = layer(pattern, configuration, number)
    assert_dense(mine, pattern, configuration, number)


def test_rotary_positions_count_from_the_start_of_each_sequence() -> None:
    assert_dense(layer("strided", rotary=True), "strided", "union", 0)


def test_every_pattern_and_configuration_that_can_be_asked_for_is_compared() -> None:
    fields = config.SparseLayer.model_fields
    assert set(get_args(fields["pattern"].annotation)) == set(PARTS) == set(PATTERNS)
    assert get_args(fields["configuration"].annotation) == get_args(Configuration)


@pytest.mark.parametrize("pattern", PARTS)
def test_a_pack_without_tokens_has_no_rows(pattern: str) -> None:
    none = hidden()[:0]
    assert layer(pattern)(none, small.of(none, [0, 0])).shape == (0, 12)
