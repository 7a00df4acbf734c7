from __future__ import annotations

import pytest
import torch

from models import config
from models.architectures import Size, build
from models.layers.layer import Frame
from models.layers.performer import (
    PerformerLayer,
    key_features,
    orthogonal,
    query_features,
)
from models.model import Model
from tests.models import small


def softmax_layer(features: int, every: int | None = 200) -> PerformerLayer:
    torch.manual_seed(0)
    own = config.PerformerLayer(heads=2, num_features=features, redraw_every=every)
    return PerformerLayer(own, Frame(8, "gelu", None)).double()


def test_features_are_unbiased_for_the_softmax_kernel() -> None:
    """E[exp(w q - |q|^2/2) exp(w k - |k|^2/2)] = exp(q k) (Performer, Lemma 1)."""
    generator = torch.Generator().manual_seed(0)
    q, k = 0.4 * torch.randn(2, 6, generator=generator, dtype=torch.float64)
    estimates = []
    for _ in range(4000):
        omega = orthogonal(6, 6, generator).double()
        scale = (omega.square().sum(1) / 2 + omega @ q).amax()
        product = (query_features(q, omega) * key_features(k, omega)).mean()
        constant = omega.square().sum(1).mean() / 2
        estimates.append(product * (scale - q.square().sum() / 2 - constant).exp())
    found = torch.stack(estimates)
    error = found.std() / len(found) ** 0.5
    assert abs(found.mean() - (q @ k).exp()) < 4 * error
    assert error < 0.05 * (q @ k).exp()


def test_orthogonal_features_have_rows_at_right_angles_and_gaussian_norms() -> None:
    drawn = orthogonal(8, 8, torch.Generator().manual_seed(0))
    gram = drawn @ drawn.T
    torch.testing.assert_close(gram, torch.diag(gram.diagonal()), atol=1e-5, rtol=0)
    many = orthogonal(4000, 8, torch.Generator().manual_seed(0))
    assert many.square().sum(1).mean().item() == pytest.approx(8, rel=0.05)


def test_orthogonal_draws_have_less_variance_than_independent_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 8, generator=generator) * 0.7

    def spread(draw: object) -> float:
        omegas = [draw() for _ in range(3000)]  # type: ignore[operator]
        products = [((w @ q) + (w @ k)).exp().mean() for w in omegas]
        return torch.stack(products).var().item()

    independent = spread(lambda: torch.randn(8, 8, generator=generator))
    assert spread(lambda: orthogonal(8, 8, generator)) < independent


def test_many_features_approach_exact_softmax() -> None:
    layer, hidden = softmax_layer(4096), torch.randn(30, 8, dtype=torch.float64)
    found = layer(hidden, small.of(hidden, [30]))
    q, k, v = (layer.heads.split(m(hidden)) for m in _maps(layer))
    weights = torch.softmax(torch.einsum("ihw,jhw->hij", q, k) * 4**-0.5, dim=2)
    wanted = layer.heads.merged(torch.einsum("hij,jhw->ihw", weights, v))
    assert (found - wanted).norm() < 0.05 * wanted.norm()


def _maps(layer: PerformerLayer) -> tuple[torch.nn.Linear, ...]:
    return layer.heads.query, layer.heads.key, layer.heads.value


def test_key_features_are_bounded_and_do_not_see_other_keys() -> None:
    omega = orthogonal(16, 4)
    keys = 100 * torch.randn(50, 4)
    together = key_features(keys, omega)
    assert together.max() <= omega.square().sum(1).mean().div(2).exp()
    torch.testing.assert_close(key_features(keys[:1], omega), together[:1])


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_large_and_small_tokens_stay_finite_in_float32(scale: float) -> None:
    layer = softmax_layer(32).float()
    hidden = scale * torch.randn(40, 8)
    pack = small.of(hidden, [40])
    assert layer(hidden, pack).isfinite().all()


@pytest.mark.parametrize("width", [4, 64, 256])
def test_wide_heads_do_not_underflow_in_float32(width: int) -> None:
    torch.manual_seed(0)
    own = config.PerformerLayer(heads=1, head_width=width, num_features=64)
    layer = PerformerLayer(own, Frame(8, "gelu", None))
    hidden = torch.randn(50, 8)
    exact, pack = layer.double()(hidden.double(), small.of(hidden, [50])), small.of(hidden, [50])
    found = layer.float()(hidden, pack)
    torch.testing.assert_close(found.double(), exact, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("scale", [1.0, 10.0, 40.0])
def test_one_token_alone_reads_its_own_value_however_large_its_key(scale: float) -> None:
    layer = softmax_layer(32).float()
    hidden = scale * torch.randn(1, 8, generator=torch.Generator().manual_seed(0))
    pack = small.of(hidden, [1])
    wanted = layer.heads.merged(layer.heads.values(hidden))
    torch.testing.assert_close(layer(hidden, pack), wanted)


def test_redrawing_changes_the_features_and_a_seed_repeats_them() -> None:
    layer = softmax_layer(8)
    first = layer.omega.clone()
    layer.redraw(0, torch.Generator().manual_seed(1))
    second = layer.omega.clone()
    layer.redraw(0, torch.Generator().manual_seed(1))
    assert not torch.equal(first, second)
    assert torch.equal(layer.omega, second)


def changes(layer: PerformerLayer, steps: int) -> list[int]:
    """The training steps 1, 2, ... after which the features are others than before."""
    generator = torch.Generator().manual_seed(1)
    found: list[int] = []
    for step in range(1, steps + 1):
        before = layer.omega.clone()
        layer.redraw(step, generator)
        found += [] if torch.equal(layer.omega, before) else [step]
    return found


@pytest.mark.parametrize(("every", "wanted"), [(1, [1, 2, 3, 4, 5, 6, 7, 8]), (3, [3, 6]), (9, [])])
def test_features_are_drawn_anew_at_every_so_many_th_step_and_at_no_other(
    every: int, wanted: list[int]
) -> None:
    assert changes(softmax_layer(8, every), 8) == wanted


def test_features_drawn_anew_are_others_in_every_layer_of_a_model() -> None:
    model = Model(build("performer", small.signature("performer"), Size(width=8, heads=2)))
    model.redraw(200, torch.Generator().manual_seed(1))
    one, two = (block.mixing.omega for block in model.blocks)  # type: ignore[union-attr]
    assert torch.equal(one, orthogonal(32, 4, torch.Generator().manual_seed(1)))  # type: ignore[arg-type]
    assert not torch.allclose(one, two)  # type: ignore[arg-type]


def test_features_stay_as_they_are_without_a_period() -> None:
    assert changes(softmax_layer(8, None), 8) == []
