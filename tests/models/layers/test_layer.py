"""What every mixing layer with a summary promises, with every pool and every option it has."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models import config
from models.layers import LAYERS, build_layer
from models.layers.layer import Frame, SummaryLayer
from models.layers.piecewise import PiecewiseLayer
from models.pools import POOLS
from models.summary import Summary, merge
from tests.models import small
from tests.models.layers.parts import Part, cut, joined


def sumformer(pool: config.Pool) -> config.SumformerLayer:
    return config.SumformerLayer(pool=pool, psi=(5,), width=3)


CASES: dict[str, config.Mixing] = {
    "sum": sumformer(config.SumPool(phi=(5,), latent_dim=3)),
    "mean": sumformer(config.SumPool(phi=(5,), latent_dim=3, aggregation="mean", count=True)),
    "polynomial": sumformer(config.PolynomialPool(degree=3, count=True)),
    "max": sumformer(config.MaxPool(phi=(5,), latent_dim=3, count=True)),
    "attention": sumformer(config.AttentionPool(seeds=2, heads=2, mix=True, count=True)),
    "performer": config.PerformerLayer(heads=2, num_features=5),
    "performer-relu": config.PerformerLayer(heads=2, num_features=5, features="relu"),
    "performer-rotary": config.PerformerLayer(heads=2, num_features=5, rotary=True),
    "favor": config.FavorLayer(heads=2, num_features=5, bias=True),
    "favor-rotary": config.FavorLayer(heads=2, num_features=5, rotary=True),
    "efficient": config.EfficientLayer(heads=2),
    "linformer": config.LinformerLayer(heads=2, projection_dim=3),
    "linformer-shared": config.LinformerLayer(heads=2, projection_dim=3, sharing="key-value"),
    "linformer-rotary": config.LinformerLayer(heads=2, projection_dim=3, rotary=True),
    "isab": config.InducedLayer(heads=2, points=3),
    "piecewise": config.PiecewiseLayer(cells=2, length=4, width=3),
}
WIDTH = {"piecewise": 2}
LONGEST = {"piecewise": 4}

LENGTHS = st.lists(st.integers(0, 40), min_size=1, max_size=5)
CUTS = st.lists(st.integers(0, 40), min_size=2, max_size=2).map(sorted)


def layer(name: str) -> SummaryLayer:
    torch.manual_seed(0)
    own = build_layer(CASES[name], Frame(WIDTH.get(name, 4), "gelu", LONGEST.get(name, 40)))
    if isinstance(own, PiecewiseLayer):
        torch.nn.init.normal_(own.table)
    assert isinstance(own, SummaryLayer)
    return own.double()


def tokens(name: str, lengths: list[int]) -> tuple[Tensor, list[int]]:
    """Random hidden tokens, of sequences no longer than the layer takes."""
    lengths = [min(n, LONGEST.get(name, 40)) for n in lengths]
    generator = torch.Generator().manual_seed(1)
    width = WIDTH.get(name, 4)
    return torch.rand(sum(lengths), width, generator=generator, dtype=torch.float64), lengths


def summaries(mine: SummaryLayer, parts: list[tuple[Tensor, Part]]) -> list[Summary]:
    return [mine.contribution(own, part) for own, part in parts]


def assert_same(found: Summary, wanted: Summary) -> None:
    assert found.keys() == wanted.keys()
    for field, rows in wanted.items():
        torch.testing.assert_close(found[field], rows)


@pytest.mark.parametrize("name", CASES)
@given(drawn=LENGTHS, cuts=CUTS)
@settings(max_examples=15, deadline=None)
def test_summaries_of_three_parts_in_any_order_merge_into_that_of_the_whole(
    name: str, drawn: list[int], cuts: list[int]
) -> None:
    mine, (hidden, lengths) = layer(name), tokens(name, drawn)
    first, second, third = summaries(mine, cut(hidden, lengths, cuts))
    whole = mine.contribution(hidden, small.of(hidden, lengths))
    assert_same(merge(mine.merge, merge(mine.merge, first, second), third), whole)
    assert_same(merge(mine.merge, third, merge(mine.merge, first, second)), whole)


@pytest.mark.parametrize("name", CASES)
@given(drawn=LENGTHS, cuts=CUTS)
@settings(max_examples=15, deadline=None)
def test_tokens_of_a_part_are_answered_from_the_merged_summary_as_in_the_whole(
    name: str, drawn: list[int], cuts: list[int]
) -> None:
    mine, (hidden, lengths) = layer(name), tokens(name, drawn)
    parts = cut(hidden, lengths, cuts)
    first, second, third = summaries(mine, parts)
    merged = merge(mine.merge, merge(mine.merge, first, second), third)
    whole = torch.tensor(lengths)
    rows = [mine.readout(own, merged, replace(part, whole=whole)) for own, part in parts]
    found = joined(rows, [part for _, part in parts])
    torch.testing.assert_close(found, mine(hidden, small.of(hidden, lengths)))


@pytest.mark.parametrize("name", CASES)
@given(drawn=LENGTHS, other=LENGTHS)
@settings(max_examples=15, deadline=None)
def test_the_size_of_a_summary_does_not_depend_on_the_tokens(
    name: str, drawn: list[int], other: list[int]
) -> None:
    sizes = []
    for many in (drawn, other):
        hidden, lengths = tokens(name, many)
        found = layer(name).contribution(hidden, small.of(hidden, lengths))
        assert {len(rows) for rows in found.values()} == {len(lengths)}
        sizes.append({field: rows.shape[1:] for field, rows in found.items()})
    assert sizes[0] == sizes[1]


def test_every_layer_and_every_pool_that_has_a_summary_is_among_these() -> None:
    layers = {kind for kind, made in LAYERS.items() if issubclass(made, SummaryLayer)}
    assert {own.kind for own in CASES.values()} == layers
    pools = {own.pool.kind for own in CASES.values() if isinstance(own, config.SumformerLayer)}
    assert pools == set(POOLS)
