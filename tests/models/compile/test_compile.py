from __future__ import annotations

from typing import get_args

import pytest
import torch

from models import config
from models.architectures import Size, build
from models.compile import CompileError, Into, compile_sumformer
from models.layers.performer import PerformerLayer
from models.model import Block, Model
from models.pack import Pack
from models.signature import NumericColumn, Output, Signature, VectorColumn
from tests.conftest import ROOT, small_checkpoint

ALL = get_args(Into)
LAYERS = {"plain": 1, "stack": 2, "ids": 1}


def pack(model: Model, n: int, sequences: int = 3) -> Pack:
    generator, column = torch.Generator().manual_seed(1), model.config.signature.columns[0]
    dtype = next(model.parameters()).dtype
    if isinstance(column, VectorColumn):
        values = torch.rand(sequences * n, column.width, generator=generator).to(dtype)
    else:
        values = torch.randint(1, 6, (sequences * n,), generator=generator)
    return Pack({column.name: values}, torch.full((sequences,), n), dtype=dtype)


def error(model: Model, other: Model, n: int) -> float:
    """Relative L2 difference of what both answer."""
    with torch.no_grad():
        (wanted,) = model.double()(pack(model.double(), n)).values()
        (found,) = other(pack(other, n)).values()
    return float((found.double() - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("into", ALL)
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("n", [1, 2, 64, 300])
def test_a_compiled_model_is_the_same_function(name: str, into: Into, n: int) -> None:
    model = small_checkpoint(name).model.double()
    made = compile_sumformer(model, into, n)
    assert error(model, made, n) <= 1e-10
    assert error(model, made.float(), n) <= 1e-4


@pytest.mark.parametrize("into", ALL)
@pytest.mark.parametrize("name", LAYERS)
def test_it_has_one_attention_layer_per_layer_and_two_for_a_star(name: str, into: Into) -> None:
    made = compile_sumformer(small_checkpoint(name).model, into, 5)
    kinds = [block.mixing.kind for block in made.config.blocks]
    assert kinds == [into] * (LAYERS[name] * (2 if into == "sparse" else 1))
    assert made.config.architecture == into


@pytest.mark.parametrize("into", ALL)
def test_trained_weights_compile_at_the_length_of_4096(into: Into) -> None:
    """The polynomial checkpoint that ships; its answers are far outside what it was trained on."""
    from models.checkpoint import Checkpoint

    model = Checkpoint.load(ROOT / "models" / "checkpoints" / "polynomial").model.double()
    made = compile_sumformer(model, into, 4096)
    assert error(model, made, 4096) <= 1e-10
    assert error(model, made.float(), 4096) <= 1e-4


def test_redrawn_features_do_not_change_a_compiled_performer() -> None:
    model = small_checkpoint("plain").model.double()
    made = compile_sumformer(model, "performer", 30)
    block = made.blocks[0]
    assert isinstance(block, Block)
    assert isinstance(block.mixing, PerformerLayer)
    block.mixing.redraw_every = 1
    before = block.mixing.omega.clone()
    block.mixing.redraw(1, torch.Generator().manual_seed(7))
    assert not torch.equal(block.mixing.omega, before)
    assert error(model, made, 30) <= 1e-10


def test_a_linformer_with_one_row_of_ones_sums_at_every_length() -> None:
    model = small_checkpoint("ids").model.double()
    made = compile_sumformer(model, "linformer")
    assert made.config.signature == model.config.signature
    for n in (0, 1, 7, 300):
        packed = pack(model, n)
        torch.testing.assert_close(made(packed), model(packed))


def test_a_mean_needs_no_length() -> None:
    torch.manual_seed(0)
    shape = Signature(columns=(VectorColumn(width=2),), outputs=(Output(per="token", width=2),))
    layer = config.SumformerLayer(
        pool=config.SumPool(phi=(5,), latent_dim=3, aggregation="mean"), psi=(4,), width=2
    )
    model = Model(
        config.ModelConfig(
            architecture="sumformer",
            signature=shape,
            blocks=(config.Block(mixing=layer),),
            heads=(config.TokenHead(),),
        )
    ).double()
    made = compile_sumformer(model, "transformer")
    for n in (1, 9):
        assert error(model, made, n) <= 1e-10


def test_a_length_is_part_of_the_weights_and_so_of_the_signature() -> None:
    made = compile_sumformer(small_checkpoint("plain").model, "transformer", 5)
    with pytest.raises(ValueError, match="sequence 0 has 6 tokens; this model takes 5 to 5"):
        made(pack(made, 6))


@pytest.mark.parametrize(
    ("name", "into", "length", "message"),
    [
        ("pooled", "transformer", 5, "no layer to compile"),
        ("plain", "transformer", None, "transformer attention averages, so n must enter"),
        ("stack", "linformer", None, "log n is read"),
        ("ids", "sparse", 301, "length 301 is not one that the model allows"),
        ("plain", "linformer", 0, "length 0 is not one that the model allows, or is not positive"),
        ("plain", "linformer", None, "needs a longest sequence"),
    ],
)
def test_what_cannot_be_compiled_is_refused_with_the_reason(
    name: str, into: Into, length: int | None, message: str
) -> None:
    with pytest.raises(CompileError, match=message):
        compile_sumformer(small_checkpoint(name).model, into, length)


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("transformer", "only sumformer layers compile, not TransformerLayer"),
        ("pointnet", "only sums of MLPs compile, not MaxPool"),
        ("sumformer-polynomial", "only sums of MLPs compile, not PolynomialPool"),
        ("deepsets", "a norm or a feed-forward"),
    ],
)
def test_other_architectures_are_refused_with_the_reason(architecture: str, message: str) -> None:
    shape = Signature(columns=(VectorColumn(width=2),), outputs=(Output(per="token", width=2),))
    model = Model(build(architecture, shape, Size(width=8, heads=2)))
    with pytest.raises(CompileError, match=message):
        compile_sumformer(model, "transformer", 5)


def test_context_is_refused() -> None:
    shape = Signature(
        columns=(VectorColumn(width=2),),
        context=(NumericColumn(name="age"),),
        outputs=(Output(per="token", width=2),),
    )
    with pytest.raises(CompileError, match="context"):
        compile_sumformer(Model(build("sumformer", shape, Size(width=8))), "transformer", 5)
