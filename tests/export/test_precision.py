from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from export.examples import of_columns
from export.onnx_graph import to_onnx
from export.precision import PrecisionError, half, integer, products
from export.stages import TokenStage
from service.graph import session_options
from service.pack import Array
from service.runtime import onnxruntime
from tests.export.architectures import made

STAGE = TokenStage(made("performer").model, 0)
GIVEN = of_columns(made("performer").model.config.signature)
DATA, _ = to_onnx(STAGE, GIVEN)
FEEDS = {name: value.numpy() for name, value in GIVEN.items()}


def run(data: bytes) -> dict[str, Array]:
    session = onnxruntime().InferenceSession(data, session_options())
    names = [o.name for o in session.get_outputs()]
    reads = {i.name: FEEDS[i.name] for i in session.get_inputs()}
    return dict(zip(names, session.run(names, reads), strict=True))


def test_only_products_of_tokens_with_constants_are_chosen() -> None:
    graph = onnx.load_from_string(DATA).graph
    constants = {part.name for part in graph.initializer}
    chosen = [node for node in graph.node if node.name in products(graph)]
    assert len(chosen) >= 3
    assert all(node.input[1] in constants for node in chosen)
    others = [n for n in graph.node if n.op_type == "MatMul" and n.input[1] not in constants]
    assert others, "the sum of outer products is there, and stays as it is"


@pytest.mark.parametrize("kind", ["fp16", "int8"])
def test_answers_stay_near_and_inputs_stay_as_they_are(kind: str) -> None:
    recorded = [{i.name: FEEDS[i.name] for i in onnx.load_from_string(DATA).graph.input}]
    data = half(DATA) if kind == "fp16" else integer(DATA, recorded)
    found, wanted = run(data), run(DATA)
    for name, rows in wanted.items():
        assert found[name].dtype == rows.dtype
        error = np.abs(found[name] - rows).max() / np.abs(rows).max()
        assert 0 < error < (0.01 if kind == "fp16" else 0.2), name


def test_half_weights_take_half_the_room() -> None:
    graph = onnx.load_from_string(half(DATA)).graph
    types = {part.data_type for part in graph.initializer if len(part.dims) == 2}
    assert TensorProto.FLOAT16 in types


def test_scales_of_integers_are_constants() -> None:
    recorded = [{i.name: FEEDS[i.name] for i in onnx.load_from_string(DATA).graph.input}]
    graph = onnx.load_from_string(integer(DATA, recorded)).graph
    constants = {part.name for part in graph.initializer}
    assert not [n for n in graph.node if n.op_type == "DynamicQuantizeLinear"]
    scaled = [n for n in graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert scaled
    assert all(node.input[1] in constants for node in scaled)


def test_a_graph_without_such_products_stays_as_it_is() -> None:
    model = made("sumformer-piecewise").model
    data, _ = to_onnx(TokenStage(model, 0), of_columns(model.config.signature))
    assert half(data) == data
    assert integer(data, []) == data


def test_what_cannot_be_made_says_why() -> None:
    with pytest.raises(PrecisionError, match=r"\w"):
        integer(DATA, [])
