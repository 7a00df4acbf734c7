from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from torch import Tensor, nn

from export.wrap import Request, wrap
from export.wrap_file import WrapError
from export.wrap_inputs import Said
from service.bundle import Bundle
from service.cli import main
from service.graph import Options
from service.manifest import IdsColumn, PaddedStage, VectorColumn
from service.pack import Array, Pack
from service.session import Session
from tests.export import padded_models
from tests.export.padded_models import TABLE, means

LENGTHS = [1, 16, 40, 17, 3, 33, 1, 31]


def saved(folder: Path, model: Any) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def wrapped(folder: Path, model: Any, longest: int | None = 40, **said: Any) -> Bundle:
    request = Request("mine", max_length=longest, said=Said(**said))
    return Bundle.open(wrap(saved(folder, model), folder / "out", request))


def stage(bundle: Bundle) -> PaddedStage:
    (only,) = bundle.manifest.stages
    assert isinstance(only, PaddedStage)
    return only


def axes(bundle: Bundle) -> dict[str, str]:
    return {own.name: own.axes for own in stage(bundle).inputs}


def draw(lengths: list[int] = LENGTHS) -> list[Array]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(n, 4)).astype(np.float32) for n in lengths]


def served(bundle: Bundle, pack: Pack) -> dict[str, Array]:
    return Session(bundle, Options()).run(pack)


def left(folder: Path) -> list[str]:
    return [str(path) for path in (folder / "out").rglob("*")]


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
    bundle = wrapped(tmp_path, padded_models.tokens_first(), rename={"turned": "x"})
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
    sequences = draw([1, 24, 7])
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
    assert not served(Bundle.open(folder), Pack.of("x", draw([0])))["logits"].any()


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


@pytest.mark.parametrize("dims", ["batch, length", "batch, 24"])
def test_a_model_that_ignores_its_mask_is_refused(dims: str, tmp_path: Path) -> None:
    with pytest.raises(WrapError, match=r"padding changes the answer: by .* tokens in \d+ places"):
        wrapped(tmp_path, padded_models.ignores_its_mask(dims), longest=None)
    assert left(tmp_path) == []


def test_a_model_that_mixes_its_batch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrapError, match="not independent"):
        wrapped(tmp_path, padded_models.mixes_its_batch())
    assert left(tmp_path) == []


INVERTED = "mask = Not(pad_mask)" + padded_models.MEAN
PAD_MASK = "float[batch, length, 4] x, bool[batch, length] pad_mask"


def test_an_inverted_mask_that_was_not_declared_is_refused(tmp_path: Path) -> None:
    model = padded_models.model(PAD_MASK, "float[batch, 3] logits", INVERTED)
    with pytest.raises(WrapError, match="tokens change no answer"):
        wrapped(tmp_path, model)


def test_an_inverted_mask_can_be_declared(tmp_path: Path) -> None:
    model = padded_models.model(PAD_MASK, "float[batch, 3] logits", INVERTED)
    bundle = wrapped(tmp_path, model, pad={"pad_mask": 1.0})
    found = served(bundle, Pack.of("x", draw()))["logits"]
    np.testing.assert_allclose(found, means(draw()), atol=1e-5)


def test_answers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    body = padded_models.MEAN.replace("logits", "raw") + "logits = Div(raw, zero)"
    with pytest.raises(WrapError, match="'logits' of 40 tokens is not finite"):
        wrapped(tmp_path, padded_models.masked_mean(body=body))


def test_a_graph_that_takes_fewer_places_asks_for_max_length(tmp_path: Path) -> None:
    places = """
        shape = Constant<value_ints = [40, 4]>()
        nothing = ConstantOfShape(shape)
        sizes = Shape(x)
        length = Gather(sizes, index)
        numbers = Range(index0, length, index)
        row = Gather(nothing, numbers)
        placed = Add(x, row)
    """
    body = places + padded_models.MEAN.replace("(x,", "(placed,")
    model = padded_models.masked_mean(body=body)
    with pytest.raises(WrapError, match=r"fails on 512 tokens in 512 places: .*--max-length"):
        wrapped(tmp_path, model, longest=None)
    assert wrapped(tmp_path, model).manifest.max_length == 40


def external(model: Any) -> None:
    tensor = model.graph.initializer[-1]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")


def hidden_external(model: Any) -> None:
    constant = helper.make_node("Constant", [], ["c"], value=model.graph.initializer[-1])
    external_tensor = constant.attribute[0].t
    external_tensor.data_location = onnx.TensorProto.EXTERNAL
    external_tensor.external_data.add(key="location", value="/etc/passwd")
    inner = helper.make_graph([constant], "inner", [], [])
    model.graph.node.append(helper.make_node("If", ["mask"], ["i"], then_branch=inner))


def foreign(model: Any) -> None:
    model.graph.node[-1].domain = "org.elsewhere"


def sequence(model: Any) -> None:
    kind = helper.make_tensor_sequence_value_info("mask", onnx.TensorProto.FLOAT, None)
    model.graph.input[1].CopyFrom(kind)


def optional(model: Any) -> None:
    tensor = helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, [1])
    kind = helper.make_optional_type_proto(tensor)
    model.graph.input[1].CopyFrom(helper.make_value_info("mask", kind))


def four_axes(model: Any) -> None:
    dims: list[str | int | None] = ["batch", 1, 1, "length"]
    kind = helper.make_tensor_value_info("mask", onnx.TensorProto.FLOAT, dims)
    model.graph.input[1].CopyFrom(kind)


def no_axes(model: Any) -> None:
    model.graph.input[1].type.tensor_type.ClearField("shape")


def half(model: Any) -> None:
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16


def open_width(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "width"


def strange_name(model: Any) -> None:
    model.graph.input[0].name = model.graph.node[2].input[0] = "x:0"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (external, "'weight' lies in another file"),
        (hidden_external, "'weight' lies in another file"),
        (foreign, "operator MatMul is of 'org.elsewhere'"),
        (sequence, "input 'mask' is a sequence; only tensors"),
        (optional, "input 'mask' is a optional; only tensors"),
        (four_axes, "has 4 axes; served are 1 to 3"),
        (no_axes, "does not say how many axes input 'mask' has"),
        (half, r"input 'x' \(float16 .* only float32"),
        (open_width, "cannot tell the axes of input 'x'.*--axes x=ORDER"),
        (strange_name, "input 'x:0': .*--rename x:0=NAME"),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_line(
    change: Callable[[Any], None], message: str, tmp_path: Path
) -> None:
    model = padded_models.masked_mean()
    change(model)
    with pytest.raises(WrapError, match=message) as error:
        wrapped(tmp_path, model)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path, data: None, "No such file"),
        (lambda path, data: path.write_bytes(b""), "not an ONNX model"),
        (lambda path, data: path.write_bytes(b"\x89PNG" * 40), "not an ONNX model"),
        (lambda path, data: path.write_bytes(data[:-30]), "not an ONNX model"),
        (lambda path, data: path.mkdir(), "directory"),
    ],
)
def test_a_file_that_is_no_model_is_refused(
    write: Callable[[Path, bytes], object], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    write(path, padded_models.masked_mean().SerializeToString())
    with pytest.raises(WrapError, match=message):
        wrap(path, tmp_path / "out", Request("mine"))


def test_a_file_of_two_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(WrapError, match="2 GB or more"):
        wrap(path, tmp_path / "out", Request("mine"))


MEAN, RELATED, IDS = "masked_mean", "related", ["--low-high", "ids=0:99"]


@pytest.mark.parametrize(
    ("model", "argv", "message"),
    [
        (RELATED, [], "input 'ids' (int64 [batch, length]) holds ids: say --low-high ids=LOW:HIGH"),
        (RELATED, ["--low-high", "ids=9:1"], "not a range of int64"),
        (RELATED, ["--low-high", "ids=few"], "must be NAME=LOW:HIGH"),
        (RELATED, [*IDS, "--pad", "ids=0.5"], "holds whole numbers"),
        (RELATED, [*IDS, "--pad", "n=1"], "no places to pad"),
        (RELATED, [*IDS, "--pad", "ids=x"], "must be NAME=VALUE"),
        (RELATED, [*IDS, "--labels", "a,b"], "2 labels for a width of 4"),
        (RELATED, ["--low-high", "ids=0:100"], "the graph fails on"),
        (MEAN, ["--low-high", "x=0:9"], "holds no ids"),
        (MEAN, ["--mask", "m"], "--mask m: the inputs are mask, x"),
        (MEAN, ["--axes", "x=bn"], "has 3 axes; each is b, n or w"),
        (MEAN, ["--axes", "x"], "must be NAME=ORDER"),
        (MEAN, ["--axes", "mask=nw"], "no axis is the batch"),
        (MEAN, ["--pad", "mask=2"], "a mask holds 0 where there is no token, or 1"),
        (MEAN, ["--pad", "x=nan"], "finite"),
        (MEAN, ["--output", "y"], "--output y: the outputs are logits"),
        (MEAN, ["--output", "logits=bn"], "the graph yields [2, 3] and [3, 3], which is not that"),
        (MEAN, ["--labels", "y=a,b,c"], "--labels y: the outputs are logits"),
        (MEAN, ["--rename", "y=z"], "--rename y: inputs and outputs are logits, mask, x"),
        (MEAN, ["--rename", "logits=a b"], "output 'logits': String should match pattern"),
        (MEAN, ["--max-length", "0"], "no sequence has from 1 to 0 tokens"),
        (MEAN, ["--min-length", "9", "--max-length", "8"], "no sequence has from 9 to 8 tokens"),
        (MEAN, ["--bundle-version", "v1"], "must be a number"),
        (MEAN, ["--name", "My Model"], "name 'My Model': String should match pattern"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_option(
    model: str,
    argv: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = saved(tmp_path, getattr(padded_models, model)())
    argv = [str(path), "--out", str(tmp_path / "out"), "--name", "mine", *argv]
    assert main(["wrap", *argv]) == 1
    err = capsys.readouterr().err.splitlines()
    assert message in err[-1]
    assert not any("Traceback" in line for line in err)
    assert not (tmp_path / "out").exists() or left(tmp_path) == []


def test_a_length_above_the_fixed_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrapError, match="--max-length 40: the graph takes 24 places"):
        wrapped(tmp_path, padded_models.masked_mean("batch, 24"), longest=40)


def test_fixed_sizes_that_leave_a_choice_are_asked_for(tmp_path: Path) -> None:
    model = padded_models.model(
        "float[batch, 24, 4] x", "float[batch, 4] y", "y = ReduceSum<keepdims = 0>(x, one)"
    )
    with pytest.raises(WrapError, match=r"axes of input 'x' .*--axes x=ORDER \(bnw or bwn\)"):
        wrapped(tmp_path, model, longest=None)


def test_an_output_that_is_neither_per_token_nor_per_sequence_is_refused(tmp_path: Path) -> None:
    body = padded_models.MEAN + "t = Transpose<perm = [0, 2, 1]>(x) pairs = MatMul(x, t)"
    inputs = "float[batch, length, 4] x, bool[batch, length] mask"
    outputs = "float[batch, 3] logits, float[batch, length, length] pairs"
    with pytest.raises(WrapError, match=r"'pairs' .* neither per token nor per sequence"):
        wrapped(tmp_path, padded_models.model(inputs, outputs, body))
