"""Fixtures shared by all tests: small models, their bundles, and a real server process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks.process import ServerProcess
from export.bundle import export
from export.cases import QUICK
from models import config
from models.checkpoint import Card, Checkpoint
from models.model import Model
from models.pack import Pack
from models.signature import IdsColumn, Output, Signature, VectorColumn
from service.bundle import Bundle
from tests.models.small import draw_biases

# On small tensors a second thread does little but wait, thirty times as long beside other load.
torch.set_num_threads(1)

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "deploy" / "bundles"

_POOL = config.SumPool(phi=(12,), latent_dim=6)
_MEAN = config.SumPool(phi=(12, 12), latent_dim=6, aggregation="mean", count=True)
_LABELS = ("a", "b", "c", "d")


def _layer(pool: config.SumPool, psi: tuple[int, ...], width: int, residual: bool) -> config.Block:
    layer = config.SumformerLayer(pool=pool, psi=psi, width=width)
    return config.Block(mixing=layer, residual=residual)


CONFIGS = {
    "plain": config.ModelConfig(
        architecture="sumformer",
        signature=Signature(
            columns=(VectorColumn(width=3),),
            outputs=(Output(per="token", width=2),),
            min_length=0,
        ),
        blocks=(_layer(_POOL, (10,), 2, residual=False),),
        heads=(config.TokenHead(),),
    ),
    "stack": config.ModelConfig(
        architecture="sumformer",
        signature=Signature(
            columns=(VectorColumn(width=3),),
            outputs=(Output(per="sequence", width=4, kind="classification", labels=_LABELS),),
        ),
        embedding=config.Embedding(width=8),
        blocks=(_layer(_MEAN, (10,), 8, residual=True), _layer(_POOL, (), 8, residual=True)),
        heads=(config.SequenceHead(pool=_MEAN, rho=(9,)),),
        activation="relu",
    ),
    "ids": config.ModelConfig(
        architecture="sumformer",
        signature=Signature(
            columns=(IdsColumn(low=1, high=5),),
            outputs=(Output(per="token", width=3),),
            min_length=0,
            max_length=300,
        ),
        embedding=config.Embedding(width=4),
        blocks=(_layer(_POOL, (10,), 4, residual=True),),
        heads=(config.TokenHead(hidden=(7,)),),
    ),
    "pooled": config.ModelConfig(
        architecture="sumformer",
        signature=Signature(
            columns=(VectorColumn(width=2),),
            outputs=(Output(per="sequence", width=3),),
            min_length=0,
        ),
        heads=(config.SequenceHead(pool=_POOL),),
    ),
}


def small_checkpoint(name: str) -> Checkpoint:
    """A seeded, untrained model with statistics that are not the identity."""
    torch.manual_seed(5)
    model = Model(CONFIGS[name]).eval()
    draw_biases(model)
    column = CONFIGS[name].signature.columns[0]
    if isinstance(column, VectorColumn):
        values = {column.name: 3 + 2 * torch.randn(100, column.width)}
        model.fit(Pack(values, torch.tensor([100])))
    return Checkpoint(Card(name=name, seed=5, model=CONFIGS[name]), model)


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one exported bundle per small model."""
    root = tmp_path_factory.mktemp("bundles")
    for name in CONFIGS:
        export(small_checkpoint(name), root, "1", effort=QUICK)
    return root


@pytest.fixture(scope="session")
def plain(bundles: Path) -> Bundle:
    """Per-token outputs, one layer."""
    return Bundle.open(bundles / "plain" / "1")


@pytest.fixture(scope="session")
def server() -> Iterator[ServerProcess]:
    """The shipped bundles behind a real uvicorn process, with small limits."""
    limits = {"max_request_tokens": 20_000, "max_body_bytes": 2_000_000, "grace_seconds": 0}
    with ServerProcess(SHIPPED, **limits) as process:
        yield process


@pytest.fixture(scope="session")
def harmed() -> Iterator[ServerProcess]:
    """A server with the limits that it has by itself, but for those that would take long."""
    settings: dict[str, object] = {
        "body_seconds": 2,
        "body_bytes_per_second": 1000,
        "grace_seconds": 0,
    }
    with ServerProcess(SHIPPED, **settings) as process:
        yield process
