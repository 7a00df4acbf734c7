"""Stages in torch, run as a session runs their graphs: the cut itself, without onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from export import description, examples
from export.draw import usual
from export.stages import AttentionStage, SequenceStage, Stage, TokenStage, cut
from models.model import Model
from service import manifest
from service.attention import AttentionRunner
from service.pack import Array, Pack
from service.stages import OF_A_SLICE, Progress, Runner, SequenceRunner, TokenRunner
from service.team import Team
from tests.export.architectures import LONGEST, NAMES, forward, made

LENGTHS = [5, 0, 33, 1, 17, 16, 0, 64, LONGEST, 2, 33]


class InTorch:
    """A stage that reads what a graph of it would read."""

    def __init__(self, stage: Stage, given: dict[str, torch.Tensor]) -> None:
        self._stage, self.reads = stage, list(given)

    def run(self, feeds: dict[str, Array]) -> dict[str, Array]:
        tensors = {k: torch.from_numpy(np.array(feeds[k])) for k in self.reads}
        with torch.no_grad():
            return {k: v.numpy() for k, v in self._stage.compute(tensors).items()}


def runners(model: Model) -> Iterator[Runner]:
    """What a session makes of a model's stages."""
    shape = model.config.signature
    given = examples.of_columns(shape)
    for stage in cut(model):
        reads = examples.of_attention(given, stage) if isinstance(stage, AttentionStage) else given
        if isinstance(stage, SequenceStage):
            reads = {name: values for name, values in given.items() if name not in OF_A_SLICE}
            reads.pop("hidden", None)
        with torch.no_grad():
            found = stage.compute(reads)
        own = description.stage(stage, "none.onnx", found, shape.max_length)
        graph: object = InTorch(stage, reads)
        if isinstance(own, manifest.TokenStage):
            yield TokenRunner(own, graph, Team(1))  # type: ignore[arg-type]
        elif isinstance(own, manifest.AttentionStage):
            yield AttentionRunner(own, graph)  # type: ignore[arg-type]
        else:
            yield SequenceRunner(graph)  # type: ignore[arg-type]
        given = examples.after(given, stage, found)


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_the_stages_together_are_the_model_s_forward(name: str, blocks: int) -> None:
    checkpoint = made(name, blocks)
    longest = checkpoint.model.config.signature.max_length or LONGEST
    lengths = [min(n, longest) for n in LENGTHS]
    pack = usual(checkpoint.model, lengths, np.random.default_rng(1))
    progress = Progress(pack, slice_tokens=50)
    for runner in runners(checkpoint.model):
        list(runner.advance(progress))
    for output in description.outputs(checkpoint.model.config.signature):
        wanted = forward(checkpoint.model, pack)[output.name]
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(
            progress.output(output) / scale, wanted / scale, rtol=0, atol=2e-5
        )


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("sumformer", [TokenStage, TokenStage, TokenStage, SequenceStage]),
        ("sumformer-piecewise", [TokenStage, TokenStage]),
        (
            "transformer",
            [TokenStage, AttentionStage, TokenStage, AttentionStage, TokenStage, SequenceStage],
        ),
    ],
)
def test_tokens_meet_between_stages(name: str, kinds: list[type[Stage]]) -> None:
    assert [type(stage) for stage in cut(made(name, blocks=2).model)] == kinds


def test_a_pack_of_nothing_but_empty_sequences_is_answered() -> None:
    checkpoint = made("sumformer")
    pack: Pack = usual(checkpoint.model, [0, 0], np.random.default_rng(1))
    progress = Progress(pack, slice_tokens=50)
    for runner in runners(checkpoint.model):
        list(runner.advance(progress))
    wanted = forward(checkpoint.model, pack)
    for output in description.outputs(checkpoint.model.config.signature):
        np.testing.assert_allclose(progress.output(output), wanted[output.name], rtol=1e-5)


def test_example_sizes_for_tracing_are_all_different() -> None:
    given = examples.of_columns(made("sumformer").model.config.signature)
    sizes = {len(given["owner"]), len(given["count"]), len(given["rows"])}
    assert len(sizes) == 3
    assert not sizes & {0, 1}
