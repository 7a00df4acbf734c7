from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from service.bundle import Bundle
from service.errors import BadRequest, BundleError
from service.graph import Graph, Options
from service.manifest import Output, PaddedInput, PaddedOutput, PaddedStage
from service.pack import Array, Pack
from service.padded import PLACES, PaddedRunner
from service.stages import Progress
from tests.export import padded_models
from tests.export.padded_models import TABLE, WEIGHT, means

LENGTHS = [1, 16, 40, 17, 3, 64, 1, 31, 200]
X = PaddedInput(name="x", reads="column", column="x", axes="bnw", dtype="float32")
MASK = PaddedInput(name="mask", reads="mask", axes="bn", dtype="bool")
LOGITS = PaddedOutput(name="logits", output="logits", axes="bw")


@dataclass(frozen=True, slots=True)
class OneFile:
    """All that a graph asks of a bundle."""

    data: bytes
    folder: Path = Path("nowhere")

    def read(self, name: str) -> bytes:
        return self.data


class Watched(Graph):
    """A graph that notes the shape of what it is given."""

    def __init__(self, model: Any) -> None:
        file = cast(Bundle, OneFile(model.SerializeToString()))
        super().__init__(file, "stage0.onnx", Options())
        self.calls: list[tuple[int, ...]] = []

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        self.calls.append(feeds[self.reads[0]].shape)
        return super().run(feeds)


def answer(
    graph: Graph,
    inputs: tuple[PaddedInput, ...],
    output: PaddedOutput,
    pack: Pack,
    longest: int | None = None,
) -> Array:
    stage = PaddedStage(file="stage0.onnx", inputs=inputs, outputs=(output,))
    progress = Progress(pack, 48)
    list(PaddedRunner(stage, graph, longest).advance(progress))
    per = "token" if "n" in output.axes else "sequence"
    return progress.output(Output.model_validate({"name": output.output, "per": per, "width": 3}))


def draw(lengths: list[int], seed: int = 0) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(n, 4)).astype(np.float32) for n in lengths]


def mean(sequences: list[Array], graph: Graph | None = None, longest: int | None = None) -> Array:
    graph = graph or Watched(padded_models.masked_mean())
    return answer(graph, (X, MASK), LOGITS, Pack.of("x", sequences), longest)


def test_every_sequence_is_answered_as_if_it_were_not_padded() -> None:
    sequences = draw(LENGTHS)
    np.testing.assert_allclose(mean(sequences), means(sequences), atol=1e-5)


def test_answers_are_float32() -> None:
    assert mean(draw(LENGTHS)).dtype == np.float32


def test_answers_come_in_the_order_of_the_pack() -> None:
    sequences = draw(LENGTHS)
    np.testing.assert_array_equal(mean(sequences[::-1]), mean(sequences)[::-1])


@pytest.mark.parametrize("order", ["".join(order) for order in permutations("bnw")])
def test_axes_may_come_in_any_order(order: str) -> None:
    x = X.model_copy(update={"name": "turned", "axes": order})
    scores = PaddedOutput(name="scores", output="scores", axes=order)
    pack, graph = Pack.of("x", draw(LENGTHS)), Watched(padded_models.turned(order))
    np.testing.assert_allclose(
        answer(graph, (x, MASK), LOGITS, pack), means(draw(LENGTHS)), atol=1e-5
    )
    wanted = pack.columns["x"] @ WEIGHT
    np.testing.assert_allclose(answer(graph, (x, MASK), scores, pack), wanted, atol=1e-5)


@pytest.mark.parametrize("kind", ["float", "double", "int32", "int64"])
def test_a_mask_is_of_the_type_that_the_graph_reads(kind: str) -> None:
    dtype = {"float": "float32", "double": "float64"}.get(kind, kind)
    mask = PaddedInput.model_validate({**MASK.model_dump(), "dtype": dtype})
    pack = Pack.of("x", draw(LENGTHS))
    found = answer(Watched(padded_models.masked_mean(mask=kind)), (X, mask), LOGITS, pack)
    np.testing.assert_allclose(found, means(draw(LENGTHS)), atol=1e-5)


def test_an_inverted_mask_holds_one_in_the_padding() -> None:
    body = "mask = Not(padding)" + padded_models.MEAN
    inputs = "float[batch, length, 4] x, bool[batch, length] padding"
    graph = Watched(padded_models.model(inputs, "float[batch, 3] logits", body))
    mask = MASK.model_copy(update={"name": "padding", "pad": 1.0})
    found = answer(graph, (X, mask), LOGITS, Pack.of("x", draw(LENGTHS)))
    np.testing.assert_allclose(found, means(draw(LENGTHS)), atol=1e-5)


@pytest.mark.parametrize(("kind", "count"), [("int64", "int64"), ("int32", "float")])
def test_rows_per_token_come_in_the_order_of_the_pack(kind: str, count: str) -> None:
    ids = PaddedInput.model_validate(
        {"name": "ids", "reads": "column", "column": "words", "axes": "bn", "dtype": kind}
    )
    dtype = {"float": "float32"}.get(count, count)
    n = PaddedInput.model_validate({"name": "n", "reads": "lengths", "axes": "b", "dtype": dtype})
    words = [np.random.default_rng(n).integers(0, 100, n) for n in LENGTHS]
    found = answer(
        Watched(padded_models.related(kind, count)),
        (ids, n),
        PaddedOutput(name="tokens", output="tokens", axes="bnw"),
        Pack.of("words", words),
    )
    wanted = np.concatenate([TABLE[w] + TABLE[w].sum(0) for w in words])
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def two(output: PaddedOutput, pack: Pack) -> Array:
    bias = PaddedInput(name="bias", reads="context", column="bias", axes="bw", dtype="float32")
    return answer(Watched(padded_models.two_outputs()), (X, MASK, bias), output, pack)


def test_context_goes_with_its_sequence() -> None:
    sequences, bias = draw(LENGTHS), np.random.default_rng(1).normal(size=(len(LENGTHS), 3))
    pack = Pack.of("x", sequences)
    pack = Pack(pack.columns, pack.lengths, {"bias": bias.astype(np.float32)})
    np.testing.assert_allclose(two(LOGITS, pack), means(sequences) + bias, atol=1e-5)


def test_numbers_are_padded_with_what_the_graph_takes_for_nothing() -> None:
    own = PaddedInput(
        name="amounts", reads="column", column="a", axes="bn", dtype="float32", pad=9.0
    )
    amounts = [np.full(n, 0.5, np.float32) for n in LENGTHS]
    output = PaddedOutput(name="total", output="total", axes="b")
    found = answer(
        Watched(padded_models.padded_with_nines()), (own,), output, Pack.of("a", amounts)
    )
    np.testing.assert_allclose(found, np.array(LENGTHS)[:, None] / 2)


def test_a_sequence_is_padded_alike_alone_and_in_company() -> None:
    together, alone = (Watched(padded_models.masked_mean()) for _ in range(2))
    mean(draw(LENGTHS), together)
    for sequence in draw(LENGTHS):
        mean([sequence], alone)
    assert {shape[1] for shape in together.calls} == {shape[1] for shape in alone.calls}


def test_a_call_has_a_bounded_number_of_places() -> None:
    graph, lengths = Watched(padded_models.masked_mean()), [3] * 1500 + [PLACES + 1] * 2
    sequences = draw(lengths)
    np.testing.assert_allclose(mean(sequences, graph), means(sequences), atol=1e-4)
    assert all(batch == 1 or batch * n <= PLACES for batch, n, _ in graph.calls)
    assert len(graph.calls) == 4


def test_an_empty_sequence_has_an_answer_of_its_own() -> None:
    sequences = draw([0, 5, 0])
    np.testing.assert_allclose(mean(sequences), means(sequences), atol=1e-5)


def test_empty_sequences_run_with_a_place_that_holds_no_token() -> None:
    graph = Watched(padded_models.masked_mean())
    assert not mean(draw([0, 0]), graph).any()
    assert graph.calls == [(2, 16, 4)]


def test_empty_sequences_have_no_rows_per_token_and_are_not_run() -> None:
    graph = Watched(padded_models.masked_mean())
    scores = PaddedOutput(name="logits", output="scores", axes="bnw")
    assert answer(graph, (X, MASK), scores, Pack.of("x", draw([0, 0]))).shape == (0, 3)
    assert graph.calls == []


def test_a_graph_of_one_length_gets_that_length() -> None:
    graph, sequences = Watched(padded_models.masked_mean("batch, 40")), draw([1, 40, 0, 7])
    np.testing.assert_allclose(mean(sequences, graph), means(sequences), atol=1e-5)
    assert graph.calls == [(4, 40, 4)]


def test_a_graph_of_one_batch_gets_that_batch() -> None:
    graph, sequences = Watched(padded_models.masked_mean("4, length")), draw([1, 2, 3, 4, 5, 30])
    np.testing.assert_allclose(mean(sequences, graph), means(sequences), atol=1e-5)
    assert graph.calls == [(4, 16, 4), (4, 16, 4), (4, 32, 4)]


def test_nothing_is_padded_beyond_the_longest_that_a_model_takes() -> None:
    graph, sequences = Watched(padded_models.masked_mean()), draw([3, 50])
    np.testing.assert_allclose(mean(sequences, graph, 50), means(sequences), atol=1e-5)
    assert {shape[1] for shape in graph.calls} == {16, 50}


@pytest.mark.parametrize(("dims", "longest"), [("batch, 40", None), ("batch, length", 40)])
def test_a_sequence_longer_than_a_model_takes_is_refused(dims: str, longest: int | None) -> None:
    with pytest.raises(BadRequest, match="41 tokens; the model takes 40"):
        mean(draw([3, 41]), Watched(padded_models.masked_mean(dims)), longest)


def test_a_pack_without_sequences_has_no_answers() -> None:
    pack = Pack({"x": np.zeros((0, 4), np.float32)}, np.zeros(0, np.int64))
    graph = Watched(padded_models.masked_mean())
    assert answer(graph, (X, MASK), LOGITS, pack).shape == (0, WEIGHT.shape[1])


@pytest.mark.parametrize(
    ("inputs", "output", "message"),
    [
        ((X,), LOGITS, "reads x, mask"),
        ((X.model_copy(update={"axes": "bn"}), MASK), LOGITS, "input 'x' .* is not 'bn'"),
        ((X.model_copy(update={"axes": "bnn"}), MASK), LOGITS, "input 'x' .* is not 'bnn'"),
        ((X, MASK), LOGITS.model_copy(update={"name": "y"}), "yields no 'y'"),
    ],
)
def test_a_stage_that_is_not_the_graphs_is_refused(
    inputs: tuple[PaddedInput, ...], output: PaddedOutput, message: str
) -> None:
    stage = PaddedStage(file="stage0.onnx", inputs=inputs, outputs=(output,))
    with pytest.raises(BundleError, match=message):
        PaddedRunner(stage, Watched(padded_models.masked_mean()))
