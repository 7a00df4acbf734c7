"""Pooled models to explain, one with everything that such a model may read and answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from export.draw import usual
from export.verification import torch_pack
from models import config
from models.checkpoint import Card, Checkpoint
from models.model import Model
from models.signature import IdsColumn, NumericColumn, Output, Signature, TimeColumn, VectorColumn
from service.manifest import Manifest
from service.pack import Array, Pack
from tests.models.small import draw_biases
from tests.service.streams.cuts import draw

_SUM = config.SumPool(phi=(12,), latent_dim=6, count=True)
_MEAN = config.SumPool(phi=(12, 12), latent_dim=6, aggregation="mean", count=True)
_COLUMNS = (
    NumericColumn(name="amount", log=True, missing="flag", clip=3),
    IdsColumn(name="kind", high=4, unknown=True),
    VectorColumn(name="place", width=2),
)
_OUTPUTS = (
    Output(name="a", per="token", width=3),
    Output(name="b", per="sequence", width=2, scale=(3.0, 4.0), offset=(100.0, 0.0)),
    Output(name="c", per="sequence", width=3, kind="classification", labels=("x", "y", "z")),
)
_CONTEXT = (VectorColumn(name="v", width=2), IdsColumn(name="g", high=3, unknown=True))


def mixed(timed: bool = False, least: int = 0) -> Checkpoint:
    """Columns of several kinds, context, outputs of either kind, a sum and a mean. timed: a time
    too, which is read relative to the first token's; least: the shortest sequence.
    """
    times = (TimeColumn(name="when", shortest=0.1, longest=100),) if timed else ()
    name = f"mixed{'-timed' if timed else ''}{least or ''}"
    own = config.ModelConfig(
        architecture="sumformer",
        signature=Signature(
            columns=(*_COLUMNS, *times), context=_CONTEXT, outputs=_OUTPUTS, min_length=least
        ),
        embedding=config.Embedding(width=8, mlp=(9,)),
        heads=(
            config.TokenHead(hidden=(7,)),
            config.SequenceHead(pool=_SUM, rho=(9,)),
            config.SequenceHead(pool=_MEAN, rho=(9,)),
        ),
    )
    torch.manual_seed(0)
    model = Model(own).eval()
    draw_biases(model)
    model.fit(torch_pack(usual(model, [300], np.random.default_rng(0))))
    return Checkpoint(Card(name=name, seed=0, model=own), model)


def sequences(manifest: Manifest, lengths: Sequence[int], seed: int = 0) -> Pack:
    """Of these lengths, with whatever else the model reads."""
    return Pack.join([draw(manifest, n, seed + i) for i, n in enumerate(lengths)])


def shorter(pack: Pack, token: int) -> Pack:
    """A pack of one sequence, without one of its tokens."""
    columns = {name: np.delete(rows, token, axis=0) for name, rows in pack.columns.items()}
    return Pack(columns, pack.lengths - 1, pack.context)


def check_close(found: Array, wanted: Array, most: float = 1e-6) -> None:
    """Of one sequence, (n, width) each: relative to the largest that there is."""
    assert found.shape == wanted.shape
    if wanted.size:
        assert np.abs(found - wanted).max() <= most * np.abs(wanted).max()
