"""How much padding attention and wrapped models run on is counted, and packed stages have none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from service.attention import AttentionRunner
from service.buckets import padded_lengths
from service.bundle import Bundle
from service.graph import Options
from service.manifest import AttentionStage, PaddedStage
from service.pack import Pack
from service.padded import PaddedRunner
from service.places import Places
from service.session import Session
from service.stages import Progress
from tests.export import padded_models
from tests.service.test_padded import LENGTHS, LOGITS, MASK, Watched, X, draw

LENGTHS_OF = np.array([3, 16, 17, 0, 40, 3])


class Values:
    """An attention graph that hands on the values."""

    def run(self, feeds: Any) -> dict[str, Any]:
        return {"next:read": feeds["value"][:, : feeds["query"].shape[1]]}


@pytest.mark.parametrize("unpadded", [False, True])
def test_attention_counts_the_places_of_its_groups(unpadded: bool) -> None:
    places = Places()
    stage = AttentionStage(file="stage0.onnx", heads=1, unpadded=unpadded)
    progress = Progress(Pack({"x": np.zeros(79)}, LENGTHS_OF), 1024)
    for tokens, part in zip(progress.tokens, progress.slices, strict=True):
        size = part.tokens.stop - part.tokens.start
        tokens |= {name: np.zeros((size, 1, 2)) for name in ("query", "key", "value")}
    list(AttentionRunner(stage, Values(), places).advance(progress))  # type: ignore[arg-type]
    padding = 0 if unpadded else int(padded_lengths(LENGTHS_OF).sum()) - 79
    assert (places.tokens, places.padding) == (79, padding)


def test_a_wrapped_model_counts_the_places_of_its_batches() -> None:
    pack, places = Pack.of("x", draw(LENGTHS)), Places()
    stage = PaddedStage(file="stage0.onnx", inputs=(X, MASK), outputs=(LOGITS,))
    graph = Watched(padded_models.masked_mean())
    list(PaddedRunner(stage, graph, places=places).advance(Progress(pack, 48)))
    assert places.tokens == pack.tokens == sum(LENGTHS)
    assert places.padding == int(padded_lengths(pack.lengths).sum()) - pack.tokens
    assert places.padding == sum(calls[0] * calls[1] for calls in graph.calls) - pack.tokens


def test_packed_stages_have_no_padding(plain: Bundle) -> None:
    session = Session(plain, Options())
    golden = plain.golden().pack
    session.run(golden)
    assert (session.places.tokens, session.places.padding) == (0, 0)
