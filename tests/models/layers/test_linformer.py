from __future__ import annotations

from typing import Literal, get_args

import pytest
import torch

from models import config
from models.architectures import Size, build
from models.checkpoint import Card, Checkpoint
from models.layers.layer import Frame
from models.layers.linformer import LinformerLayer, projection
from models.model import Model
from tests.models import small

Sharing = Literal["headwise", "key-value", "layerwise"]
FRAME = Frame(8, "gelu", 12)


def layer(sharing: Sharing, shared: torch.nn.Parameter | None = None) -> LinformerLayer:
    own = config.LinformerLayer(heads=2, projection_dim=3, sharing=sharing)
    return LinformerLayer(own, FRAME, shared).double()


@pytest.mark.parametrize("n", [1, 7, 12])
@pytest.mark.parametrize("sharing", get_args(Sharing))
def test_it_is_softmax_over_projected_keys(sharing: Sharing, n: int) -> None:
    """Linformer, eq. 7, with E and F cut to the sequence's length; E = F unless headwise."""
    torch.manual_seed(0)
    shared = projection(3, 12) if sharing == "layerwise" else None
    mine, hidden = layer(sharing, shared), torch.randn(n, 8, dtype=torch.float64)
    e = (mine.project_keys if shared is None else shared)[:, :n].double()
    f = mine.project_values[:, :n] if sharing == "headwise" else e
    heads = mine.heads
    q, k, v = (heads.split(m(hidden)) for m in (heads.query, heads.key, heads.value))
    scores = torch.einsum("nhw,kj,jhw->nhk", q, e, k) / 2
    wanted = torch.einsum("nhk,kj,jhw->nhw", torch.softmax(scores, dim=2), f, v)
    torch.testing.assert_close(mine(hidden, small.of(hidden, [n])), mine.heads.merged(wanted))


def model(sharing: Sharing) -> Model:
    own = build("linformer", small.signature("linformer"), Size(width=8, heads=2))
    plain = own.model_dump()
    for block in plain["blocks"]:
        block["mixing"]["sharing"] = sharing
    return Model(config.ModelConfig.model_validate(plain))


@pytest.mark.parametrize(
    ("sharing", "matrices"), [("headwise", 4), ("key-value", 2), ("layerwise", 1)]
)
def test_sharing_leaves_as_many_matrices_as_it_says(sharing: Sharing, matrices: int) -> None:
    projections = {id(p) for n, p in model(sharing).named_parameters() if "project" in n}
    assert len(projections) == matrices


def test_layers_that_share_a_matrix_must_agree_in_its_size() -> None:
    plain = model("layerwise").config.model_dump()
    plain["blocks"][1]["mixing"]["projection_dim"] = 5
    with pytest.raises(ValueError, match=r"share E differ in projection_dim: \[5, 32\]"):
        Model(config.ModelConfig.model_validate(plain))


def test_a_shared_matrix_survives_a_checkpoint(tmp_path: object) -> None:
    saved = model("layerwise")
    card = Card(name="shared", seed=0, model=saved.config)
    Checkpoint(card, saved).save(tmp_path)  # type: ignore[arg-type]
    loaded = Checkpoint.load(tmp_path).model  # type: ignore[arg-type]
    first, second = (block.mixing.project_keys for block in loaded.blocks)  # type: ignore[union-attr]
    assert first is second
    assert torch.equal(first, saved.blocks[0].mixing.project_keys)  # type: ignore[arg-type, union-attr]
