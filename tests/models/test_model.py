from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models import config
from models.architectures import Size, build
from models.embedding import Number, Standardised, Time, sinusoids
from models.layers.sumformer import SumformerLayer
from models.model import Block, Model
from models.pack import Pack
from models.pools import SumPool
from models.signature import IdsColumn, NumericColumn, Output, Signature, TimeColumn, VectorColumn
from tests.conftest import small_checkpoint
from tests.models import small


def tokens(model: Model, n: int, seed: int) -> np.ndarray:
    rng, column = np.random.default_rng(seed), model.config.signature.columns[0]
    if isinstance(column, IdsColumn):
        return rng.integers(column.low, column.high + 1, n)
    assert isinstance(column, VectorColumn)
    return rng.normal(size=(n, column.width)).astype(np.float32)


def test_one_layer_is_definition_3_1() -> None:
    """psi(x_i, sum_k phi(x_k)), written without packs, splits or deferral."""
    model = small_checkpoint("plain").model
    block = model.blocks[0]
    assert isinstance(block, Block)
    layer = block.mixing
    assert isinstance(layer, SumformerLayer)
    assert isinstance(layer.pool, SumPool)
    pack = Pack.of_sequences("x", [tokens(model, 5, 0)])
    x = model.embed(pack, None)
    total = layer.pool.phi(x).sum(0)
    weight = torch.cat([layer.from_token.weight, layer.from_summary.weight], dim=1)
    wanted = torch.stack(
        [layer.tail(weight @ torch.cat([token, total]) + layer.from_summary.bias) for token in x]
    )
    torch.testing.assert_close(model(pack)["y"], wanted)


def test_input_statistics_are_part_of_the_model() -> None:
    model = small_checkpoint("plain").model
    column = "embed.columns.columns.0"
    assert {f"{column}.mean", f"{column}.std"} <= set(model.state_dict())
    pack = Pack.of_sequences("x", [tokens(model, 50, 0)])
    model.fit(pack)
    scaled = model.embed(pack, None)
    torch.testing.assert_close(scaled.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(scaled.var(0, correction=0), torch.ones(3))


MIXED = Signature(
    columns=small.EVERY_KIND,
    context=(NumericColumn(name="age"), IdsColumn(name="segment", high=2)),
    outputs=(
        Output(name="risk", per="sequence", width=1, kind="classification"),
        Output(name="next", per="token", width=5, kind="classification"),
        Output(name="total", per="sequence", width=1),
    ),
    min_length=0,
)


def mixed_pack(lengths: list[int], **changes: Tensor) -> Pack:
    generator = torch.Generator().manual_seed(0)
    n, many = sum(lengths), len(lengths)
    columns = {
        "amount": torch.randn(n, generator=generator) * 100,
        "kind": torch.randint(0, 5, (n,), generator=generator),
        "when": torch.rand(n, generator=generator, dtype=torch.float64).cumsum(0),
        "place": torch.randn(n, 2, generator=generator),
    }
    context = {
        "age": 20 + 60 * torch.rand(many, generator=generator),
        "segment": torch.randint(0, 3, (many,), generator=generator),
    }
    known = {k: v for k, v in changes.items() if k in columns}
    other = {k: v for k, v in changes.items() if k in context}
    return Pack({**columns, **known}, torch.tensor(lengths), {**context, **other})


@pytest.fixture
def mixed() -> Model:
    torch.manual_seed(0)
    model = Model(build("sumformer", MIXED, Size(width=16))).eval()
    model.fit(mixed_pack([300]))
    return model


def test_mixed_columns_context_and_several_outputs(mixed: Model) -> None:
    found = mixed(mixed_pack([3, 0, 5]))
    assert {name: tuple(rows.shape) for name, rows in found.items()} == {
        "risk": (3, 1),
        "next": (8, 5),
        "total": (3, 1),
    }
    assert all(rows.isfinite().all() for rows in found.values())


def test_context_reaches_every_output_of_its_own_sequence_and_no_other(mixed: Model) -> None:
    before = mixed(mixed_pack([3, 0, 5]))
    older = mixed_pack([3, 0, 5]).context["age"] + torch.tensor([0.0, 30.0, 30.0])
    after = mixed(mixed_pack([3, 0, 5], age=older))
    for name in ("risk", "total"):
        assert (after[name] != before[name])[:, 0].tolist() == [False, True, True]
    changed = (after["next"] != before["next"]).any(1).tolist()
    assert changed == [False] * 3 + [True] * 5


def test_a_missing_number_is_flagged_and_not_read_as_its_mean(mixed: Model) -> None:
    amount = mixed_pack([2]).columns["amount"].clone()
    mean = mixed.embed.columns.columns[0].scale.mean
    assert isinstance(mean, Tensor)
    amount[0] = torch.nan
    missing = mixed(mixed_pack([2], amount=amount))
    amount[0] = mean.exp().item() - 1
    average = mixed(mixed_pack([2], amount=amount))
    assert all(rows.isfinite().all() for rows in missing.values())
    assert not torch.allclose(missing["risk"], average["risk"])


def test_numbers_are_clipped_to_so_many_standard_deviations(mixed: Model) -> None:
    large, larger = torch.full((2,), 1e12), torch.full((2,), 1e30)
    a, b = (mixed(mixed_pack([2], amount=x))["risk"] for x in (large, larger))
    assert torch.equal(a, b)


def test_a_number_may_be_read_as_it_is() -> None:
    for standardise, wanted in ((True, [-1.0, 1.0]), (False, [3.0, 5.0])):
        column = Number(NumericColumn(name="amount", standardise=standardise))
        values = torch.tensor([3.0, 5.0])
        column.fit(values)
        assert column(values)[:, 0].tolist() == wanted


@pytest.mark.parametrize("known", [0, 4])
def test_ids_never_seen_are_one_more_category(mixed: Model, known: int) -> None:
    kinds = [torch.tensor([1, i]) for i in (-7, 5, 10**12, known)]
    rows = [mixed(mixed_pack([2], kind=kind))["risk"] for kind in kinds]
    assert torch.equal(rows[0], rows[1])
    assert torch.equal(rows[0], rows[2])
    assert not torch.equal(rows[0], rows[3])


def test_times_count_from_the_first_token_of_each_sequence(mixed: Model) -> None:
    pack = mixed_pack([3, 5])
    shift = torch.tensor([1e9] * 3 + [7.5] * 5, dtype=torch.float64)
    moved = mixed_pack([3, 5], when=pack.columns["when"] + shift)
    for name, rows in mixed(pack).items():
        torch.testing.assert_close(mixed(moved)[name], rows, atol=1e-4, rtol=1e-4)
    slower = mixed_pack([3, 5], when=pack.columns["when"] * 3)
    assert not torch.allclose(mixed(slower)["risk"], mixed(pack)["risk"])


@pytest.mark.parametrize("per", ["token", "sequence"])
def test_a_regression_answers_in_its_own_units(per: Any) -> None:
    def made(**units: tuple[float, ...]) -> Model:
        torch.manual_seed(0)
        shape = Signature(
            columns=(VectorColumn(width=2),), outputs=(Output(per=per, width=3, **units),)
        )
        return Model(build("sumformer", shape, Size(width=8)))

    pack = Pack({"x": torch.randn(7, 2)}, torch.tensor([3, 4]))
    plain = made()(pack)["y"]
    units = made(scale=(20.0, 1.0, 2.0), offset=(1000.0, 0.0, -7.0))(pack)["y"]
    wanted = plain * torch.tensor([20.0, 1.0, 2.0]) + torch.tensor([1000.0, 0.0, -7.0])
    torch.testing.assert_close(units, wanted)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = made(scale=(1.0,) * 3, offset=(1e5,) * 3)(pack)["y"]
    assert mixed.dtype == torch.float32
    assert len(mixed.unique()) > 2  # bfloat16 knows one number there


@pytest.mark.parametrize("position", ["sinusoidal", "learned"])
def test_positions_count_from_each_sequence_s_start(position: str) -> None:
    torch.manual_seed(0)
    own = build(
        "sumformer",
        Signature(
            columns=(VectorColumn(width=2),),
            outputs=(Output(per="token", width=1),),
            max_length=50,
        ),
        Size(width=8),
    )
    own = config.ModelConfig.model_validate(
        {**own.model_dump(), "embedding": {"width": 8, "position": position}}
    )
    model, same = Model(own), torch.ones(12, 2)
    rows = model(Pack({"x": same}, torch.tensor([6, 6])))["y"]
    torch.testing.assert_close(rows[:6], rows[6:])
    assert len(rows[:6].unique()) == 6


@pytest.mark.parametrize("name", ["transformer", "performer", "linformer", "sparse-star"])
def test_rotary_positions_tell_orders_apart(name: str) -> None:
    torch.manual_seed(0)
    shape = Signature(
        columns=(VectorColumn(width=2),),
        outputs=(Output(per="token", width=1),),
        max_length=50,
    )
    plain = build(name, shape, Size(width=16, blocks=1)).model_dump()
    plain["blocks"][0]["mixing"]["rotary"] = True
    model = Model(config.ModelConfig.model_validate(plain)).eval()
    assert not model.equivariant
    x = torch.randn(7, 2)
    rows, other = (model(Pack({"x": v}, torch.tensor([7])))["y"] for v in (x, x.flip(0)))
    assert not torch.allclose(rows, other.flip(0))


def test_a_time_ends_equivariance(mixed: Model) -> None:
    pack, order = mixed_pack([7]), torch.arange(7).flip(0)
    found = mixed(pack)["next"]
    turned = mixed(mixed_pack([7], **{k: v[order] for k, v in pack.columns.items()}))["next"]
    assert not torch.allclose(turned, found[order], atol=1e-3)
    assert not mixed.equivariant


def test_a_feature_that_never_varies_is_only_centred() -> None:
    scale = Standardised(3)
    scale.fit(torch.tensor([[0.1, 123.456, 1e20], [0.1, 123.456, 3e20]]).repeat(50, 1))
    assert scale.std[:2].tolist() == [1, 1]
    assert scale.std[2].item() == pytest.approx(1e20, rel=1e-3)


def test_short_wavelengths_are_seen_at_long_times() -> None:
    own = Time(TimeColumn(name="t", shortest=1e-3, longest=3e7))
    times = torch.linspace(0, 3e7, 1000, dtype=torch.float64)
    torch.testing.assert_close(own(times).double(), own.double()(times), atol=1e-5, rtol=0)


def test_places_far_out_are_told_apart_exactly() -> None:
    far = torch.tensor([1_000_000])
    single = sinusoids(far, 16, torch.float32)
    torch.testing.assert_close(single.double(), sinusoids(far, 16, torch.float64))
