from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from torch import Tensor, nn

from export.wrap import Request, wrap
from export.wrap_file import WrapError
from service.bundle import Bundle
from service.cli import main
from service.graph import Options
from service.manifest import IdsColumn, PaddedStage, VectorColumn
from service.pack import Array, Pack
from service.session import Session
from tests.export import padded_models
from tests.export.padded_models import TABLE, means
from tests.export.wrapping import LENGTHS, draw, saved, wrapped


def stage(bundle: Bundle) -> PaddedStage:
    (only,) = bundle.manifest.stages
    assert isinstance(only, PaddedStage)
    return only


def axes(bundle: Bundle) -> dict[str, str]:
    return {own.name: own.axes for own in stage(bundle).inputs}


def served(bundle: Bundle, pack: Pack) -> dict[str, Array]:
    return Session(bundle, Options()).run(pack)


class Classifier(nn.Module):
    """A Transformer encoder over token ids; 0 is padding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(50, 16), nn.Embedding(64, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 3)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """ids (B, n), mask (B, n) true where there is a token -> logits (B, 3)."""
        tokens = self.embed(ids) + self.place(torch.arange(ids.shape[1]))
        tokens = self.encoder(tokens, src_key_padding_mask=~mask)
        there = mask.unsqueeze(2).float()
        logits: Tensor = self.head((tokens * there).sum(1) / there.sum(1))
        return logits


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    torch.manual_seed(0)
    return Classifier().eval()


@pytest.fixture(scope="module")
def example(classifier: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The classifier's bundle, made as the documentation says."""
    folder = tmp_path_factory.mktemp("example")
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", max=64)}
    given = (torch.ones(2, 5, dtype=torch.long), torch.ones(2, 5, dtype=torch.bool))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            classifier,
            given,
            dynamo=True,
            opset_version=20,
            input_names=["ids", "mask"],
            output_names=["logits"],
            dynamic_shapes=(sizes, sizes),
            verbose=False,
        )
    assert program is not None
    program.save(str(folder / "model.onnx"))
    argv = [str(folder / "model.onnx"), "--out", str(folder), "--name", "example"]
    argv += ["--low-high", "ids=1:49", "--max-length", "64", "--labels", "a,b,c"]
    assert main(["wrap", *argv]) == 0
    return folder / "example" / "1"


def test_a_torch_encoder_answers_packed_what_torch_answers_unpadded(
    example: Path, classifier: Classifier
) -> None:
    sequences = [np.random.default_rng(n).integers(1, 50, n) for n in range(1, 65)]
    found = served(Bundle.open(example), Pack.of("ids", sequences))["logits"]
    for sequence, logits in zip(sequences, found, strict=True):
        ids = torch.from_numpy(sequence)[None]
        with torch.no_grad():
            wanted = classifier(ids, torch.ones_like(ids, dtype=torch.bool))[0]
        np.testing.assert_allclose(logits, wanted, atol=1e-4)


def test_the_manifest_says_what_the_model_reads_and_answers(example: Path) -> None:
    manifest = Bundle.open(example).manifest
    assert manifest.columns == (IdsColumn(name="ids", low=1, high=49),)
    (output,) = manifest.outputs
    assert (output.per, output.width, output.kind) == ("sequence", 3, "classification")
    assert output.labels == ("a", "b", "c")
    assert (manifest.min_length, manifest.max_length, manifest.opset) == (1, 64, 20)
    assert not manifest.equivariant
    assert manifest.architecture.parameters > 4000


def test_a_wrapped_bundle_passes_verify(example: Path) -> None:
    assert main(["verify", str(example)]) == 0


def test_the_proof_is_recorded_and_can_be_read(example: Path) -> None:
    manifest = Bundle.open(example).manifest
    proof = json.loads((example / "verification.json").read_text())
    assert (proof["tolerance"], proof["isolation"]) == (manifest.tolerance, manifest.isolation)
    page = (example / "verification.md").read_text()
    for case in proof["cases"]:
        assert f"| {case['case']} |" in page
        assert case["padding"] <= 1e-4
        assert 4 * max(case["difference"], case["error"]) <= manifest.isolation <= 0.1
    assert manifest.tolerance >= max(1e-5, manifest.isolation)
    assert (example / "verification.png").read_bytes().startswith(b"\x89PNG")
    assert "model.onnx" in (example / "model_card.md").read_text()


def test_a_bundle_tells_nothing_of_the_machine_its_model_was_made_on(example: Path) -> None:
    graph = (example / "stage0.onnx").read_bytes()
    assert b"test_wrap" not in graph
    assert b"stack_trace" not in graph


def test_what_reads_ids_and_lengths_is_told_by_the_graph(tmp_path: Path) -> None:
    bundle = wrapped(tmp_path, padded_models.related(), low_high={"ids": (0, 99)})
    assert axes(bundle) == {"ids": "bn", "n": "b"}
    words = [np.random.default_rng(n).integers(0, 100, n) for n in LENGTHS]
    found = served(bundle, Pack.of("ids", words))["tokens"]
    wanted = np.concatenate([TABLE[w] + TABLE[w].sum(0) for w in words])
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_the_order_of_axes_is_told_by_symbols_that_inputs_share(tmp_path: Path) -> None:
    bundle = wrapped(tmp_path, padded_models.turned("nbw"), rename={"turned": "x"})
    assert axes(bundle) == {"turned": "nbw", "mask": "bn"}
    found = served(bundle, Pack.of("x", draw()))["logits"]
    np.testing.assert_allclose(found, means(draw()), atol=1e-5)


def test_every_output_is_answered_per_token_or_per_sequence(tmp_path: Path) -> None:
    manifest = wrapped(tmp_path, padded_models.two_outputs()).manifest
    assert {o.name: (o.per, o.width) for o in manifest.outputs} == {
        "scores": ("token", 3),
        "logits": ("sequence", 3),
    }
    assert manifest.context == (VectorColumn(name="bias", width=3),)


def test_the_outputs_that_are_named_are_the_only_ones(tmp_path: Path) -> None:
    bundle = wrapped(tmp_path, padded_models.two_outputs(), outputs={"logits": "bw"})
    assert [o.name for o in bundle.manifest.outputs] == ["logits"]
    graph = onnx.load_model_from_string(bundle.read("stage0.onnx")).graph
    assert [o.name for o in graph.output] == ["logits"]


def test_a_fixed_length_is_the_longest(tmp_path: Path) -> None:
    bundle = wrapped(tmp_path, padded_models.masked_mean("batch, 24"), longest=None)
    assert bundle.manifest.max_length == 24
    sequences = draw((1, 24, 7))
    found = served(bundle, Pack.of("x", sequences))["logits"]
    np.testing.assert_allclose(found, means(sequences), atol=1e-5)


def test_a_fixed_batch_is_filled(tmp_path: Path) -> None:
    bundle = wrapped(tmp_path, padded_models.masked_mean("2, length"))
    found = served(bundle, Pack.of("x", draw()))["logits"]
    np.testing.assert_allclose(found, means(draw()), atol=1e-5)


def test_padding_may_be_told_by_its_value(tmp_path: Path) -> None:
    model = padded_models.padded_with_nines()
    bundle = wrapped(tmp_path, model, pad={"amounts": 9.0})
    amounts = [np.full(n, 0.5, np.float32) for n in LENGTHS]
    found = served(bundle, Pack.of("amounts", amounts))["total"]
    np.testing.assert_allclose(found[:, 0], np.array(LENGTHS) / 2)


def test_empty_sequences_are_proved_where_they_are_allowed(tmp_path: Path) -> None:
    path = saved(tmp_path, padded_models.masked_mean())
    folder = wrap(path, tmp_path / "out", Request("mine", min_length=0, max_length=40))
    cases = json.loads((folder / "verification.json").read_text())["cases"]
    assert "empty among others" in {case["case"] for case in cases}
    assert not served(Bundle.open(folder), Pack.of("x", draw((0,))))["logits"].any()


def test_inputs_that_nothing_reads_and_listed_weights_are_no_columns(tmp_path: Path) -> None:
    model = padded_models.masked_mean()
    float32, weight = onnx.TensorProto.FLOAT, padded_models.WEIGHT.shape
    model.graph.input.append(helper.make_tensor_value_info("weight", float32, weight))
    model.graph.input.append(helper.make_tensor_value_info("unread", float32, [7]))
    model.graph.doc_string = "made by me"
    bundle = wrapped(tmp_path, model)
    assert list(axes(bundle)) == ["x", "mask"]
    assert b"made by me" not in bundle.read("stage0.onnx")


def test_a_version_that_exists_is_kept_unless_forced(tmp_path: Path) -> None:
    bundle = wrapped(tmp_path, padded_models.masked_mean())
    (bundle.folder / "mark").touch()
    with pytest.raises(WrapError, match="exists"):
        wrapped(tmp_path, padded_models.masked_mean())
    assert (bundle.folder / "mark").exists()
    request = Request("mine", max_length=16)
    wrap(tmp_path / "model.onnx", tmp_path / "out", request, force=True)
    assert not (bundle.folder / "mark").exists()


def test_an_inverted_mask_can_be_declared(tmp_path: Path) -> None:
    bundle = wrapped(tmp_path, padded_models.inverted(), pad={"pad_mask": 1.0})
    found = served(bundle, Pack.of("x", draw()))["logits"]
    np.testing.assert_allclose(found, means(draw()), atol=1e-5)
