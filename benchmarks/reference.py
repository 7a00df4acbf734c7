"""The reference models: seeded random weights of a fixed shape, exported like any other.

python -m benchmarks.reference        writes build/bundles/reference{,-pooled}/1
"""

from __future__ import annotations

from pathlib import Path

import torch

from export.bundle import export
from models import config
from models.checkpoint import Card, Checkpoint
from models.model import Model
from models.signature import Output, Signature, VectorColumn

BUNDLES = Path("build/bundles")
_POOL = config.SumPool(phi=(256, 256), latent_dim=128)
_LAYER = config.SumformerLayer(pool=_POOL, psi=(256, 256), width=8)


def _signature(output: Output) -> Signature:
    return Signature(columns=(VectorColumn(width=8),), outputs=(output,), min_length=0)


CONFIGS = {
    "reference": config.ModelConfig(
        architecture="sumformer",
        signature=_signature(Output(per="token", width=8)),
        blocks=(config.Block(mixing=_LAYER, residual=False),),
        heads=(config.TokenHead(),),
    ),
    "reference-pooled": config.ModelConfig(
        architecture="sumformer",
        signature=_signature(Output(per="sequence", width=10)),
        heads=(config.SequenceHead(pool=_POOL),),
    ),
}


def checkpoint(name: str) -> Checkpoint:
    """A reference model with its seeded weights."""
    torch.manual_seed(0)
    card = Card(name=name, seed=0, model=CONFIGS[name])
    return Checkpoint(card, Model(card.model).eval())


def main() -> None:
    """Export both."""
    for name in CONFIGS:
        print(export(checkpoint(name), BUNDLES, "1", force=True))


if __name__ == "__main__":
    main()
