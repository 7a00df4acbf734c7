from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import helper

from export.wrap import Request, wrap
from export.wrap_file import WrapError
from service.cli import main
from tests.export import padded_models
from tests.export.wrapping import left, saved, wrapped


@pytest.mark.parametrize("dims", ["batch, length", "batch, 24"])
def test_a_model_that_ignores_its_mask_is_refused(dims: str, tmp_path: Path) -> None:
    with pytest.raises(
        WrapError, match=r"padding changes the answer: by .* at length \d+ in \d+ places"
    ):
        wrapped(tmp_path, padded_models.ignores_its_mask(dims), longest=None)
    assert left(tmp_path) == []


@pytest.mark.parametrize("model", ["mixes_its_batch", "mixes_behind_an_offset"])
def test_a_model_that_mixes_its_batch_is_refused(model: str, tmp_path: Path) -> None:
    with pytest.raises(WrapError, match="not independent"):
        wrapped(tmp_path, getattr(padded_models, model)())
    assert left(tmp_path) == []


def test_an_inverted_mask_that_was_not_declared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrapError, match="tokens change no answer"):
        wrapped(tmp_path, padded_models.inverted())


def test_answers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    body = padded_models.MEAN.replace("logits", "raw") + "logits = Div(raw, zero)"
    with pytest.raises(WrapError, match="'logits' is not finite at length 40"):
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
    with pytest.raises(WrapError, match=r"fails at length 512 in 512 places: .*--max-length"):
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
        (RELATED, ["--low-high", "ids=0:100"], "the graph fails at length"),
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


def test_whole_numbers_that_float32_would_round_are_refused(tmp_path: Path) -> None:
    body = "k = Constant<value_int = 1073741825>() y = Mul(ids, k)"
    model = padded_models.model("int64[batch, length] ids", "int64[batch, length] y", body)
    with pytest.raises(WrapError, match=r"output 'y' has whole numbers above 16,777,216"):
        wrapped(tmp_path, model, low_high={"ids": (1, 5)})
