"""A sequence gives the same bits in pieces, over all its passes, as in one run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from export.bundle import export
from export.cases import QUICK
from models import config
from models.checkpoint import Card, Checkpoint
from models.model import Model
from models.signature import Output, Signature, VectorColumn
from service.bundle import Bundle
from service.graph import Options
from service.pack import BLOCK, Array, Pack
from service.session import Session
from service.stages import Feeds
from service.streams.walk import columns_of
from tests.conftest import CONFIGS, SHIPPED
from tests.export.architectures import made
from tests.models.small import draw_biases
from tests.service.streams.cuts import cuts, draw

LENGTHS = [1, 15, 16, 17, 161, 199]
SIZES = [[BLOCK], [BLOCK, 5 * BLOCK, 2 * BLOCK], [10_000]]
EVERY_COLUMN = ("performer", "linformer")  # of any kind, positions, context
LONG = [(5000, [16 * BLOCK, 7 * BLOCK]), (70_001, [512 * BLOCK]), (0, [1])]


def mixed() -> Checkpoint:
    """Two layers, outputs per token and per sequence, of any length."""
    own = config.ModelConfig(
        architecture="sumformer",
        signature=Signature(
            columns=(VectorColumn(width=8),),
            outputs=(
                Output(name="y", per="token", width=8),
                Output(name="z", per="sequence", width=10),
            ),
            min_length=0,
        ),
        embedding=config.Embedding(width=12),
        blocks=(_layer("sum"), _layer("mean")),
        heads=(config.TokenHead(hidden=(9,)), config.SequenceHead(pool=_pool("mean"))),
    )
    torch.manual_seed(0)
    model = Model(own).eval()
    draw_biases(model)
    return Checkpoint(Card(name="mixed", seed=0, model=own), model)


def _layer(aggregation: Literal["sum", "mean"]) -> config.Block:
    layer = config.SumformerLayer(pool=_pool(aggregation), psi=(16,), width=12)
    return config.Block(mixing=layer, residual=True)


def _pool(aggregation: Literal["sum", "mean"]) -> config.SumPool:
    return config.SumPool(phi=(16, 16), latent_dim=8, aggregation=aggregation)


def walked(session: Session, pack: Pack, sizes: list[int]) -> dict[str, Array]:
    """All outputs, by passes over pieces."""
    walk = session.walk()
    pieces: list[Feeds] = [
        {name: values[part] for name, values in columns_of(pack).items()}
        for part in cuts(pack.tokens, sizes)
    ]
    walk.given(pack.context, pieces[0] if pieces else {})
    for _ in range(walk.passes):
        found = [walk.run(piece) for piece in pieces]
        pieces = [one.kept for one in found]
        walk.turn()
    outputs = {
        name: np.concatenate([one.outputs[name] for one in found])
        for name in (found[0].outputs if found else {})
    }
    return outputs | walk.finish()


def check_same(session: Session, length: int, sizes: list[int]) -> None:
    pack = draw(session.manifest, max(length, session.manifest.min_length))
    found, wanted = walked(session, pack, sizes), session.run(pack)
    for name, rows in wanted.items():
        if len(rows):
            np.testing.assert_array_equal(found[name], rows, strict=True)


@pytest.fixture(scope="module")
def made_ones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    for checkpoint in [*map(made, EVERY_COLUMN), mixed()]:
        export(checkpoint, root, "1", effort=QUICK)
    return root


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("name", EVERY_COLUMN)
def test_with_columns_of_every_kind(made_ones: Path, name: str, sizes: list[int]) -> None:
    session = Session(Bundle.open(made_ones / name / "1"), Options())
    for length in [0, *LENGTHS]:
        check_same(session, length, sizes)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("name", CONFIGS)
def test_of_small_models(bundles: Path, name: str, sizes: list[int]) -> None:
    session = Session(Bundle.open(bundles / name / "1"), Options())
    for length in [0, *LENGTHS]:
        check_same(session, length, sizes)


@pytest.mark.parametrize("folder", sorted(SHIPPED.glob("*/1")), ids=lambda own: own.parent.name)
def test_of_served_models(folder: Path) -> None:
    session = Session(Bundle.open(folder), Options())
    for length, sizes in LONG:
        check_same(session, length, sizes)


@pytest.mark.parametrize("name", ["mixed", "pooled"])
def test_of_long_sequences(made_ones: Path, bundles: Path, name: str) -> None:
    """Of layers with outputs of both kinds, and without a layer."""
    root = made_ones if name == "mixed" else bundles
    session = Session(Bundle.open(root / name / "1"), Options())
    for length, sizes in LONG:
        check_same(session, length, sizes)


def test_positions_and_times_count_from_the_first_token(made_ones: Path) -> None:
    """A walk that began anew with every piece would answer otherwise."""
    session = Session(Bundle.open(made_ones / "performer" / "1"), Options())
    pack = draw(session.manifest, 4 * BLOCK)
    alone = session.run(Pack(
        {name: values[BLOCK:] for name, values in pack.columns.items()},
        np.array([3 * BLOCK]),
        pack.context,
    ))  # fmt: skip
    found = walked(session, pack, [BLOCK])
    assert not np.allclose(found["a"][BLOCK:], alone["a"], rtol=1e-3)
