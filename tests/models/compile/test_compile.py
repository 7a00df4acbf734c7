from __future__ import annotations

from typing import Literal, get_args

import pytest
import torch

from models import config
from models.architectures import Size, build
from models.checkpoint import Checkpoint
from models.compile import CompileError, Into, compile_sumformer
from models.layers.performer import PerformerLayer
from models.model import Block, Model
from models.pack import Pack
from models.signature import NumericColumn, Output, Signature, VectorColumn
from models.tasks.digits import splits
from tests.conftest import ROOT, small_checkpoint
from tests.models import small

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


def difference(model: Model, other: Model, exact: Pack, packed: Pack) -> float:
    """Relative L2 difference of what both answer, in the output where it is largest."""
    with torch.no_grad():
        wanted, found = model(exact), other(packed)
    assert wanted.keys() == found.keys()
    differences = ((found[k].double() - wanted[k]).norm() / wanted[k].norm() for k in wanted)
    return max(float(one) for one in differences)


def error(model: Model, other: Model, n: int) -> float:
    """The same, on random tokens and in the precision of each."""
    model = model.double()
    return difference(model, other, pack(model, n), pack(other, n))


def assert_same(model: Model, into: Into, length: int, packed: Pack) -> None:
    """Compiled, it answers a pack of float32 alike, in float64 and in float32."""
    model = model.double()
    made = compile_sumformer(model, into, length)
    assert difference(model, made, packed.double(), packed.double()) <= 1e-10
    assert difference(model, made.float(), packed.double(), packed) <= 1e-4


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
    model = Checkpoint.load(ROOT / "models" / "checkpoints" / "polynomial").model.double()
    made = compile_sumformer(model, into, 4096)
    assert error(model, made, 4096) <= 1e-10
    assert error(model, made.float(), 4096) <= 1e-4


@pytest.mark.parametrize("into", ALL)
def test_trained_layers_in_a_row_with_a_sequence_head_compile_at_a_length_they_were_trained_on(
    into: Into,
) -> None:
    """The digits checkpoint that ships: two means with log n, on images of the commonest size."""
    model = Checkpoint.load(ROOT / "models" / "checkpoints" / "digits").model
    images = [image for image in splits()["test"].sequences if len(image) == 32]
    assert len(images) > 10
    assert_same(model, into, 32, Pack.of_sequences("pixels", images))


MIXED = Signature(
    columns=small.EVERY_KIND,
    outputs=(
        Output(name="risk", per="sequence", width=3, kind="classification"),
        Output(name="total", per="sequence", width=2, scale=(20.0, 0.5), offset=(7.0, -1.0)),
        Output(name="next", per="token", width=5, kind="classification"),
    ),
)


def mixed_pack(n: int, sequences: int = 3) -> Pack:
    """With a number that is missing and ids that are not known."""
    generator, total = torch.Generator().manual_seed(0), n * sequences
    amount = torch.randn(total, generator=generator) * 100
    amount[0] = torch.nan
    columns = {
        "amount": amount,
        "kind": torch.randint(0, 6, (total,), generator=generator),
        "when": torch.rand(total, generator=generator, dtype=torch.float64).cumsum(0),
        "place": torch.randn(total, 2, generator=generator),
    }
    return Pack(columns, torch.full((sequences,), n))


def mixed(aggregation: Literal["sum", "mean"]) -> Model:
    """Two layers, a maximum for the first output, sums or means for the rest; no bias is zero."""
    torch.manual_seed(0)
    own = build("sumformer", MIXED, Size(width=8, aggregation=aggregation))
    top = config.SequenceHead(pool=config.MaxPool(phi=(6,), latent_dim=5, count=True), rho=(7,))
    model = Model(own.model_copy(update={"heads": (top, *own.heads[1:])})).eval()
    model.fit(mixed_pack(100))
    for layer in model.modules():
        if isinstance(layer, torch.nn.Linear) and layer.bias is not None:
            torch.nn.init.normal_(layer.bias)
    return model


@pytest.mark.parametrize("into", ALL)
@pytest.mark.parametrize("aggregation", ["sum", "mean"])
@pytest.mark.parametrize("n", [1, 30])
def test_columns_of_all_kinds_and_several_outputs_compile(
    aggregation: Literal["sum", "mean"], into: Into, n: int
) -> None:
    assert_same(mixed(aggregation), into, n, mixed_pack(n))


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


@pytest.mark.parametrize("into", ALL)
def test_context_is_refused(into: Into) -> None:
    shape = Signature(
        columns=(VectorColumn(width=2),),
        context=(NumericColumn(name="age"),),
        outputs=(Output(per="token", width=2),),
    )
    with pytest.raises(CompileError, match="context"):
        compile_sumformer(Model(build("sumformer", shape, Size(width=8))), into, 5)
