"""The reference models: seeded random weights of a fixed shape, exported like any other.

python -m benchmarks.reference        writes build/bundles/reference{,-pooled}/1
"""

from __future__ import annotations

from pathlib import Path

import torch

from export.bundle import export
from models.checkpoint import Card, Checkpoint
from models.config import (
    LayerConfig,
    PoolConfig,
    SequenceHead,
    SumformerConfig,
    TokenHead,
    VectorInput,
)
from models.sumformer import Sumformer

BUNDLES = Path("build/bundles")
_POOL = PoolConfig(phi=(256, 256), latent_dim=128)

CONFIGS = {
    "reference": SumformerConfig(
        input=VectorInput(width=8),
        layers=(LayerConfig(pool=_POOL, psi=(256, 256), width=8),),
        head=TokenHead(width=8),
        min_length=0,
    ),
    "reference-pooled": SumformerConfig(
        input=VectorInput(width=8),
        head=SequenceHead(width=10, pool=_POOL),
        min_length=0,
    ),
}


def checkpoint(name: str) -> Checkpoint:
    """A reference model with its seeded weights."""
    torch.manual_seed(0)
    card = Card(name=name, task="regression", seed=0, model=CONFIGS[name])
    return Checkpoint(card, Sumformer(card.model).eval())


def main() -> None:
    """Export both."""
    for name in CONFIGS:
        print(export(checkpoint(name), BUNDLES, "1", force=True))


if __name__ == "__main__":
    main()
