"""Fixtures shared by all tests: small models, their bundles, and a real server process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks.process import ServerProcess
from export.bundle import export
from models.checkpoint import Card, Checkpoint
from models.config import (
    IdsInput,
    LayerConfig,
    PoolConfig,
    SequenceHead,
    SumformerConfig,
    TokenHead,
    VectorInput,
)
from models.sumformer import Sumformer
from service.bundle import Bundle

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "deploy" / "bundles"

_POOL = PoolConfig(phi=(12,), latent_dim=6)
_MEAN = PoolConfig(phi=(12, 12), latent_dim=6, aggregation="mean", count=True)

CONFIGS = {
    "plain": SumformerConfig(
        input=VectorInput(width=3),
        layers=(LayerConfig(pool=_POOL, psi=(10,), width=2),),
        head=TokenHead(width=2),
        min_length=0,
    ),
    "stack": SumformerConfig(
        input=VectorInput(width=3),
        embedding=8,
        layers=(
            LayerConfig(pool=_MEAN, psi=(10,), width=8, residual=True),
            LayerConfig(pool=_POOL, psi=(), width=8, residual=True),
        ),
        head=SequenceHead(width=4, pool=_MEAN, rho=(9,)),
        activation="relu",
    ),
    "ids": SumformerConfig(
        input=IdsInput(low=1, high=5),
        embedding=4,
        layers=(LayerConfig(pool=_POOL, psi=(10,), width=4, residual=True),),
        head=TokenHead(width=3, hidden=(7,)),
        min_length=0,
        max_length=300,
    ),
    "pooled": SumformerConfig(
        input=VectorInput(width=2), head=SequenceHead(width=3, pool=_POOL), min_length=0
    ),
}


def small_checkpoint(name: str) -> Checkpoint:
    """A seeded, untrained model with statistics that are not the identity."""
    torch.manual_seed(5)
    config = CONFIGS[name]
    model = Sumformer(config).eval()
    if isinstance(config.input, VectorInput):
        model.embed.fit(3 + 2 * torch.randn(100, config.input.width))
    labels = ("a", "b", "c", "d") if name == "stack" else None
    task = "classification" if labels else "regression"
    return Checkpoint(Card(name=name, task=task, labels=labels, seed=5, model=config), model)


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one exported bundle per small model."""
    root = tmp_path_factory.mktemp("bundles")
    for name in CONFIGS:
        export(small_checkpoint(name), root, "1")
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
