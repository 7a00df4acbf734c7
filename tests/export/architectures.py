"""Models of every architecture to export: small, with everything that a signature can have."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from export.draw import usual
from export.verification import torch_pack
from models.architectures import Size, build
from models.checkpoint import Card, Checkpoint
from models.model import Model
from models.signature import IdsColumn, Output, Signature, VectorColumn
from service.pack import Array, Pack
from tests.models.small import EVERY_KIND, NAMES, TABLE, draw_biases, draw_tables

LONGEST = 200
_ONE_VECTOR = {TABLE, "sumformer-polynomial"}
_PER_TOKEN = Output(name="a", per="token", width=3)
_PER_SEQUENCE = (
    Output(name="b", per="sequence", width=2, scale=(3.0, 4.0), offset=(100.0, 0.0)),
    Output(name="c", per="sequence", width=3, kind="classification", labels=("x", "y", "z")),
)
_CONTEXT = (VectorColumn(name="v", width=2), IdsColumn(name="g", high=3, unknown=True))
_POSITIONS: dict[str, dict[str, Any]] = {
    "linformer": {"positional": True, "layer": {"sharing": "layerwise"}},
    "performer": {"layer": {"rotary": True}},
    "transformer": {"position": "sinusoidal"},
    "sparse-strided": {"positional": True, "layer": {"configuration": "multihead"}},
}


def signature(name: str) -> Signature:
    """Columns of every kind, context and three outputs, where the architecture takes them."""
    plain = name in _ONE_VECTOR
    return Signature(
        columns=(VectorColumn(width=2),) if plain else EVERY_KIND,
        context=() if plain else _CONTEXT,
        outputs=(_PER_TOKEN,) if name == TABLE else (_PER_TOKEN, *_PER_SEQUENCE),
        min_length=0,
        max_length=3 if name == TABLE else LONGEST,
    )


def made(name: str, blocks: int = 1) -> Checkpoint:
    """A seeded, untrained model with statistics that are not the identity."""
    torch.manual_seed(0)
    size = Size(width=16, blocks=blocks, heads=2, features=8, points=3, **_POSITIONS.get(name, {}))
    own = build(name, signature(name), size)
    model = Model(own).eval()
    draw_biases(model)
    draw_tables(model)
    model.fit(torch_pack(usual(model, [300], np.random.default_rng(0))))
    return Checkpoint(Card(name=name, seed=0, model=own), model)


def forward(model: Model, pack: Pack) -> dict[str, Array]:
    """What the checkpoint answers in float32."""
    with torch.no_grad():
        return {name: rows.numpy() for name, rows in model(torch_pack(pack)).items()}


__all__ = ["LONGEST", "NAMES", "forward", "made", "signature"]
