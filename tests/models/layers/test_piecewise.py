from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models import config
from models.layers.layer import Frame
from models.layers.piecewise import PiecewiseLayer, finest
from tests.models import small


def layer(cells: int, length: int, width: int) -> PiecewiseLayer:
    own = config.PiecewiseLayer(cells=cells, length=length, width=width)
    return PiecewiseLayer(own, Frame(width, "gelu", length)).double()


def target(tokens: Tensor) -> Tensor:
    """Equivariant, and different for every multiset."""
    others = tokens.sum(1, keepdim=True) - tokens
    return tokens + 7 * tokens.square() + 3 * tokens * others.pow(3)


@pytest.mark.parametrize(
    ("cells", "length", "width"), [(26, 3, 1), (5, 3, 2), (2, 2, 4), (1, 5, 3)]
)
def test_at_the_centres_of_cells_it_is_the_target_itself(
    cells: int, length: int, width: int
) -> None:
    mine = layer(cells, length, width)
    mine.tabulate(target)
    places = torch.randint(cells, (50, length, width), generator=torch.Generator().manual_seed(0))
    tokens = (places.double() + 0.5) / cells
    pack = small.of(tokens.flatten(0, 1), [length] * 50)
    found = mine(tokens.flatten(0, 1), pack)
    torch.testing.assert_close(found, target(tokens).flatten(0, 1))


def test_shorter_sequences_have_rows_of_their_own() -> None:
    mine = layer(3, 3, 1)
    mine.tabulate(target)
    tokens = torch.tensor([[0.5], [0.5], [0.5]], dtype=torch.float64)
    found = mine(tokens, small.of(tokens, [1, 2]))
    wanted = torch.cat([target(tokens[None, :1])[0], target(tokens[None, 1:])[0]])
    torch.testing.assert_close(found, wanted)


def test_the_far_edge_belongs_to_the_last_cell() -> None:
    assert layer(4, 2, 1).cell(torch.tensor([[0.0], [0.2499], [0.25], [1.0]])).tolist() == [
        0,
        0,
        1,
        3,
    ]


def test_the_summary_is_one_number() -> None:
    mine, tokens = layer(3, 3, 2), torch.rand(5, 2, dtype=torch.float64)
    assert mine.contribution(tokens, small.of(tokens, [3, 2]))["code"].shape == (2, 1)


@pytest.mark.parametrize(
    ("cells", "length", "width", "message"),
    [
        (27, 3, 1, "27 cells and 3 tokens need sums of 54 bits; a float64 holds integers of 53"),
        (6, 3, 2, "36 cells"),
        (12, 15, 1, "a table of .* rows, more than 2000000"),
    ],
)
def test_sizes_that_cannot_work_are_refused_with_the_reason(
    cells: int, length: int, width: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        layer(cells, length, width)


@pytest.mark.parametrize(
    ("length", "width", "cells"), [(3, 1, 26), (3, 2, 5), (3, 4, 2), (200, 3, 1)]
)
def test_the_finest_grid_is_the_last_that_works(length: int, width: int, cells: int) -> None:
    assert finest(length, width) == cells
    layer(cells, length, width)
    with pytest.raises(ValueError, match="piecewise"):
        layer(cells + 1, length, width)


def test_a_model_that_allows_longer_sequences_is_refused() -> None:
    own = config.PiecewiseLayer(cells=3, length=2, width=1)
    with pytest.raises(ValueError, match="max_length must be given and at most the layer's 2"):
        PiecewiseLayer(own, Frame(1, "gelu", 3))
