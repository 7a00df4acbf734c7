"""Things go wrong on purpose, one at a time: verification must notice each, and leave no bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor

from export import bundle as exporting
from export.bundle import export
from export.draw import usual
from export.onnx_graph import to_onnx
from export.segments import Sequences
from export.stages import SequenceStage, Stage, TokenStage, Values
from export.verification import VerificationError, torch_pack
from models.checkpoint import Card, Checkpoint
from models.embedding import Ids
from models.model import Model
from models.pack import Pack
from service.attention import AttentionRunner
from service.pack import Array
from service.stages import Progress
from service.summary import Fold
from tests.export.architectures import made
from tests.export.test_verification import LEAST
from tests.models.small import draw_biases

Mutation = Callable[[pytest.MonkeyPatch], None]


def two_alike() -> Checkpoint:
    """A model with two outputs of one shape."""
    whole = made("sumformer")
    each, one, two = whole.card.model.signature.outputs
    alike = two.model_copy(update={"width": one.width, "labels": ("x", "y")})
    shape = whole.card.model.signature.model_copy(update={"outputs": (each, one, alike)})
    own = whole.card.model.model_copy(update={"signature": shape})
    model = Model(own).eval()
    draw_biases(model)
    model.fit(pack_of(whole))
    return Checkpoint(Card(name="mine", seed=0, model=own), model)


def pack_of(checkpoint: Checkpoint) -> Pack:
    return torch_pack(usual(checkpoint.model, [300], np.random.default_rng(0)))


@contextmanager
def rewritten(
    patch: pytest.MonkeyPatch, kind: type[Stage], change: Callable[[onnx.GraphProto], None]
) -> Iterator[None]:
    """Graphs of a kind of stage are changed after they were traced."""

    def changed(stage: Stage, given: Mapping[str, Tensor]) -> tuple[bytes, Values]:
        data, found = to_onnx(stage, given)
        model = onnx.load_from_string(data)
        if isinstance(stage, kind):
            change(model.graph)
        return model.SerializeToString(), found

    patch.setattr(exporting, "to_onnx", changed)
    yield


def a_weight_is_off(patch: pytest.MonkeyPatch) -> None:
    def change(graph: onnx.GraphProto) -> None:
        largest = max(graph.initializer, key=lambda part: len(part.raw_data))
        values = numpy_helper.to_array(largest).copy()
        values.flat[0] += 0.01
        largest.CopyFrom(numpy_helper.from_array(values, largest.name))

    with rewritten(patch, TokenStage, change):
        pass


def outputs_are_swapped(patch: pytest.MonkeyPatch) -> None:
    def change(graph: onnx.GraphProto) -> None:
        one, two = graph.output
        renamed = {one.name: two.name, two.name: one.name}
        for node in graph.node:
            node.output[:] = [renamed.get(name, name) for name in node.output]

    with rewritten(patch, SequenceStage, change):
        pass


def the_answer_is_always_the_offset(patch: pytest.MonkeyPatch) -> None:
    """An output of large offset, and a last map of zeros."""

    def change(graph: onnx.GraphProto) -> None:
        for part in graph.initializer:
            if len(part.dims) == 2:
                zeros = np.zeros_like(numpy_helper.to_array(part))
                part.CopyFrom(numpy_helper.from_array(zeros, part.name))

    with rewritten(patch, SequenceStage, change):
        pass


def ids_below_the_lowest_read_another_row(patch: pytest.MonkeyPatch) -> None:
    real = Ids.forward

    def wrong(stage: Stage, given: Mapping[str, Tensor]) -> tuple[bytes, Values]:
        def without_the_low_end(self: Ids, ids: Tensor) -> Tensor:
            row = ids - self.low
            row = torch.where(row < self.known, row, self.known).clamp(min=0)
            out: Tensor = self.table(row)
            return out

        Ids.forward = without_the_low_end  # type: ignore[method-assign]
        try:
            return to_onnx(stage, given)
        finally:
            Ids.forward = real  # type: ignore[method-assign]

    patch.setattr(exporting, "to_onnx", wrong)


def far_from_zero() -> Checkpoint:
    """Outputs per sequence in units with a large offset."""
    whole = made("sumformer")
    each, one, two = whole.card.model.signature.outputs
    moved = one.model_copy(update={"scale": (1.0, 1.0), "offset": (1e4, -1e4)})
    shape = whole.card.model.signature.model_copy(update={"outputs": (each, moved, two)})
    own = whole.card.model.model_copy(update={"signature": shape})
    model = Model(own).eval()
    draw_biases(model)
    model.fit(pack_of(whole))
    return Checkpoint(Card(name="mine", seed=0, model=own), model)


def the_last_block_is_skipped(patch: pytest.MonkeyPatch) -> None:
    real = Fold.add

    def add(self: Fold, parts: dict[str, Array], owner: Array) -> None:
        real(self, {name: rows[:-1] for name, rows in parts.items()}, owner[:-1])

    patch.setattr(Fold, "add", add)


def a_sum_races(patch: pytest.MonkeyPatch) -> None:
    """Now and then two threads add to one place and one of them is lost."""
    real, chance = Fold.add, np.random.default_rng()

    def add(self: Fold, parts: dict[str, Array], owner: Array) -> None:
        lost = chance.random(len(owner)) < 0.02
        there = {
            name: np.where(lost.reshape(-1, *[1] * (rows.ndim - 1)), 0, rows)
            for name, rows in parts.items()
        }
        real(self, there, owner)

    patch.setattr(Fold, "add", add)


def neighbours_are_coupled(patch: pytest.MonkeyPatch) -> None:
    """Every token feels the mean of what else is in its slice, a little."""
    real = Sequences.spread

    def spread(self: Sequences, rows: Tensor) -> Tensor:
        own = real(self, rows)
        return own + 1e-7 * own.mean(0) if own.is_floating_point() else own

    patch.setattr(Sequences, "spread", spread)


def places_start_anew_in_every_slice(patch: pytest.MonkeyPatch) -> None:
    real = Progress.__init__

    def begin(self: Progress, *given: object) -> None:
        real(self, *given)  # type: ignore[arg-type]
        for part in self.slices:
            part.within[:] -= part.within[0]

    patch.setattr(Progress, "__init__", begin)


def keys_of_padding_are_read(patch: pytest.MonkeyPatch) -> None:
    real = AttentionRunner._attend

    def attend(
        self: AttentionRunner, read: Array, projected: list[Array], rows: Array, lengths: Array
    ) -> Iterator[int]:
        return real(self, read, projected, rows, np.full_like(lengths, rows.shape[1]))

    patch.setattr(AttentionRunner, "_attend", attend)


MUTATIONS: list[tuple[Mutation, Callable[[], Checkpoint]]] = [
    (a_weight_is_off, two_alike),
    (outputs_are_swapped, two_alike),
    (the_answer_is_always_the_offset, far_from_zero),
    (ids_below_the_lowest_read_another_row, two_alike),
    (the_last_block_is_skipped, two_alike),
    (a_sum_races, two_alike),
    (neighbours_are_coupled, two_alike),
    (places_start_anew_in_every_slice, lambda: made("linformer")),
    (keys_of_padding_are_read, lambda: made("transformer")),
]


@pytest.mark.parametrize(
    ("mutation", "checkpoint"), MUTATIONS, ids=[mutation.__name__ for mutation, _ in MUTATIONS]
)
def test_what_goes_wrong_is_noticed(
    mutation: Mutation,
    checkpoint: Callable[[], Checkpoint],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mutation(monkeypatch)
    with pytest.raises(VerificationError, match="verification failed"):
        export(checkpoint(), tmp_path, "1", effort=LEAST)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("checkpoint", [two_alike, far_from_zero, lambda: made("linformer")])
def test_where_nothing_goes_wrong_there_is_a_bundle(
    checkpoint: Callable[[], Checkpoint], tmp_path: Path
) -> None:
    assert (export(checkpoint(), tmp_path, "1", effort=LEAST) / "bundle.json").exists()
