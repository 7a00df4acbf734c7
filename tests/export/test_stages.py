from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from export.stages import StageGraph, cut
from models.model import Model
from models.pack import Pack as TorchPack
from service.pack import Blocks
from tests.conftest import CONFIGS, small_checkpoint
from tests.models.test_model import tokens

LENGTHS = np.array([5, 0, 33, 1])


def chain(stages: list[StageGraph], model: Model, values: np.ndarray) -> Tensor:
    """Run the stage modules in torch as a session runs their graphs, one slice."""
    blocks = Blocks.of(LENGTHS)
    (part,) = blocks.slices(10**6)
    feeds = {
        model.config.signature.columns[0].name: torch.from_numpy(values),
        "count": torch.from_numpy(np.stack([LENGTHS, np.log1p(LENGTHS)], axis=1)).float(),
        "owner": torch.from_numpy(part.owner),
        "rows": torch.from_numpy(part.rows),
        "sizes": torch.from_numpy(part.sizes),
    }
    for stage in stages[:-1]:
        found = stage.module(*(feeds[name] for name in stage.inputs))
        named = dict(zip(stage.outputs, found, strict=True))
        summary = blocks.fold(named["contribution"][:-1].numpy(), len(LENGTHS))
        feeds |= {"summary": torch.from_numpy(summary).float()}
        feeds |= {"hidden": named["next_hidden"]} if "next_hidden" in named else {}
    out: Tensor = stages[-1].module(*(feeds[name] for name in stages[-1].inputs))
    return out


@pytest.mark.parametrize("name", CONFIGS)
def test_the_chain_of_stages_is_the_models_forward(name: str) -> None:
    model = small_checkpoint(name).model
    values = tokens(model, int(LENGTHS.sum()), 0)
    with torch.no_grad():
        columns = {model.config.signature.columns[0].name: torch.from_numpy(values)}
        shape = model.config.signature.model_copy(update={"min_length": 0})
        model.config = model.config.model_copy(update={"signature": shape})
        (wanted,) = model(TorchPack(columns, torch.from_numpy(LENGTHS))).values()
        torch.testing.assert_close(chain(cut(model), model, values), wanted)


@pytest.mark.parametrize(
    ("name", "stages"), [("plain", 2), ("stack", 4), ("ids", 2), ("pooled", 2)]
)
def test_there_is_one_stage_more_than_sums(name: str, stages: int) -> None:
    graphs = cut(small_checkpoint(name).model)
    assert len(graphs) == stages
    assert [g.summary_width is None for g in graphs] == [False] * (stages - 1) + [True]


def test_example_sizes_for_tracing_are_all_different() -> None:
    sizes = {
        n
        for g in cut(small_checkpoint("ids").model)
        for t in g.inputs.values()
        for n in t.shape[:1]
    }
    assert len(sizes) == 3
    assert not sizes & {0, 1}
