"""The worked example of a model of one's own: SetNorm, which is none of our layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from export.bundle import export
from export.draw import usual
from export.verification import VerificationError
from models import config
from models.embedding import Tokens
from models.layers.layer import SummaryLayer
from models.own import Head, OwnModel
from models.pools import MaxPool, SumPool
from models.signature import IdsColumn, NumericColumn, Output, Signature, VectorColumn
from models.summary import Segments, Summary
from service.bundle import Bundle
from service.graph import Options
from service.session import Session
from tests.export.architectures import forward
from tests.export.test_verification import LEAST

WIDTH = 8
SHAPE = Signature(
    columns=(VectorColumn(width=3), IdsColumn(name="kind", high=4), NumericColumn(name="weight")),
    outputs=(
        Output(name="each", per="token", width=2),
        Output(name="all", per="sequence", width=3, kind="classification"),
        Output(name="top", per="sequence", width=1),
    ),
    min_length=0,
)


class Embed(nn.Module):
    """Three columns -> hidden tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.map = nn.Embedding(5, WIDTH), nn.Linear(4, WIDTH)

    def forward(self, tokens: Tokens, context: Tensor | None) -> Tensor:
        x, weight = tokens.columns["x"], tokens.columns["weight"]
        mapped = self.map(torch.cat([x, weight[:, None]], dim=1))
        out: Tensor = mapped + self.table(tokens.columns["kind"])
        return out


class SetNorm(SummaryLayer):
    """Hidden tokens over mean and spread of their whole set (Zhang et al. 2022), then a map."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(WIDTH, WIDTH)

    def contribution(self, hidden: Tensor, segments: Segments) -> Summary:
        return {"sum": segments.sum(hidden), "squares": segments.sum(hidden.square())}

    def readout(self, hidden: Tensor, summary: Summary, segments: Segments) -> Tensor:
        count = segments.counts[:, :1].clamp(min=1.0)
        mean = summary["sum"] / count
        spread = (summary["squares"] / count - mean.square()).clamp(min=1e-3).sqrt()
        out: Tensor = self.map((hidden - segments.spread(mean)) / segments.spread(spread))
        return hidden + out.relu()


class Leaky(SetNorm):
    """Lets tokens meet outside the segments: the mean of whatever is in the step."""

    def readout(self, hidden: Tensor, summary: Summary, segments: Segments) -> Tensor:
        return super().readout(hidden, summary, segments) + hidden.mean(0)


def made(layer: type[SetNorm] = SetNorm) -> OwnModel:
    torch.manual_seed(0)
    pool = SumPool(WIDTH, config.SumPool(phi=(16,), latent_dim=6, aggregation="mean"), "gelu")
    top = MaxPool(WIDTH, config.MaxPool(latent_dim=5), "gelu")
    heads: dict[str, Head] = {
        "each": nn.Linear(WIDTH, 2),
        "all": (pool, nn.Sequential(nn.Linear(pool.width, 16), nn.Tanh(), nn.Linear(16, 3))),
        "top": (top, nn.Linear(5, 1)),
    }
    return OwnModel(SHAPE, Embed(), [layer(), layer()], heads)


def test_a_model_of_one_s_own_is_exported_verified_and_served(tmp_path: Path) -> None:
    model = made()
    bundle = Bundle.open(export(model.checkpoint("mine"), tmp_path, "1", effort=LEAST))
    session = Session(bundle, Options())
    pack = usual(model, [3, 0, 40, 17, 1], np.random.default_rng(0))
    wanted = forward(model, pack)
    for name, rows in session.run(pack).items():
        np.testing.assert_allclose(rows, wanted[name], rtol=1e-4, atol=1e-5)
    assert bundle.manifest.equivariant
    assert bundle.manifest.stages[0].summaries[0].fields.keys() == {"sum", "squares"}  # type: ignore[union-attr]


def test_tokens_that_meet_elsewhere_are_found(tmp_path: Path) -> None:
    with pytest.raises(VerificationError):
        export(made(Leaky).checkpoint("mine"), tmp_path, "1", effort=LEAST)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        ({}, "output 'each' has no head"),
        ({"each": (None, nn.Linear(1, 1))}, "'each' is per token: its head is a module"),
    ],
)
def test_heads_that_do_not_fit_are_named(heads: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OwnModel(SHAPE, Embed(), [SetNorm()], heads)  # type: ignore[arg-type]
