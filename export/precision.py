"""A stage's graph in lower precision: half floats for GPUs, 8-bit integers for CPUs.

Only products of tokens with constant matrices change. Sums, attention and what belongs to a whole
sequence stay float32: long sums overflow half floats and lose digits. Scales of integers are fixed
beforehand, from recorded inputs: scales taken from a step would let neighbours change an answer.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from service.names import COLUMN
from service.pack import Array
from service.runtime import onnxruntime_part

LEAST_INPUTS = 16  # narrower products gain nothing
FLOAT_OUT = {"OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"]}
_TOKENS = (COLUMN, "hidden", "read")
_SUMS = {"ReduceSum", "ReduceMax", "ReduceMean", "ReduceLogSum"}


class PrecisionError(Exception):
    """A graph could not be brought into lower precision."""


def products(graph: onnx.GraphProto) -> list[str]:
    """Names of the nodes that multiply tokens with a constant matrix, before anything is summed."""
    constants = {part.name: tuple(part.dims) for part in graph.initializer}
    tokens = {i.name for i in graph.input if i.name.startswith(_TOKENS)}
    found = []
    for node in graph.node:
        if not tokens.intersection(node.input) or _sums(node, constants):
            continue
        tokens.update(node.output)
        if node.op_type in ("MatMul", "Gemm") and _wide(node, constants):
            found.append(node.name)
    return found


def _sums(node: onnx.NodeProto, constants: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether it sums over tokens: reductions, and products of two things that are no constants."""
    product = node.op_type == "MatMul" and node.input[1] not in constants
    return product or node.op_type in _SUMS


def _wide(node: onnx.NodeProto, constants: Mapping[str, tuple[int, ...]]) -> bool:
    weights = constants.get(node.input[1], ())
    whole = len(node.input) < 3 or node.input[2] in constants
    return len(weights) == 2 and min(weights) >= LEAST_INPUTS and whole


def half(data: bytes) -> bytes:
    """The graph with those products, and their weights, in half precision; all else as it was.

    By hand: onnxruntime's converter carries what lies between two products in half floats too,
    sums and exponentials included, and answers became NaN.
    """
    model = onnx.load_from_string(data)
    graph, chosen = model.graph, set(products(model.graph))
    weights = {part.name: part for part in graph.initializer}
    nodes, halved = list(graph.node), set[str]()
    del graph.node[:]
    for node in nodes:
        if node.name not in chosen:
            graph.node.append(node)
            continue
        first, *constants = node.input
        given, found = f"{node.name}:in", f"{node.name}:out"
        narrow = helper.make_node("Cast", [first], [given], to=TensorProto.FLOAT16)
        widen = helper.make_node("Cast", [found], list(node.output), to=TensorProto.FLOAT)
        halved.update(constants)
        node.input[:] = [given, *(f"{name}:half" for name in constants)]
        node.output[:] = [found]
        graph.node.extend([narrow, node, widen])
    graph.initializer.extend(_halved(weights[name]) for name in sorted(halved))
    return bytes(_used(model).SerializeToString())


def _halved(weights: TensorProto) -> TensorProto:
    values = numpy_helper.to_array(weights).astype(np.float16)
    return numpy_helper.from_array(values, f"{weights.name}:half")


def _used(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without the weights that nothing reads any more."""
    read = {name for node in model.graph.node for name in node.input}
    kept = [part for part in model.graph.initializer if part.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return model


def integer(data: bytes, recorded: Sequence[Mapping[str, Array]]) -> bytes:
    """The graph with those products in 8 bits, a scale per column of weights and one per tensor.

    ``recorded`` are inputs of the graph, seen on usual tokens; larger values saturate. Runs in a
    process of its own: onnxruntime's tool cannot share this one's threads. Raises PrecisionError.
    """
    if not products(onnx.load_from_string(data).graph):
        return data
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "graph.onnx").write_bytes(data)
        for i, feeds in enumerate(recorded):
            np.savez(folder / f"{i}.npz", **feeds)  # type: ignore[arg-type]
        command = [sys.executable, "-P", "-m", "export.precision", name]
        done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
        if done.returncode:
            raise PrecisionError(done.stderr.decode().strip().splitlines()[-1])
        return (folder / "integer.onnx").read_bytes()


class _Recorded:
    """The recorded inputs in a folder, one call after the other."""

    def __init__(self, folder: Path) -> None:
        self._left = self._read(folder)

    def _read(self, folder: Path) -> Iterator[dict[str, Array]]:
        for path in sorted(folder.glob("*.npz")):
            with np.load(path) as arrays:
                yield dict(arrays)

    def get_next(self) -> dict[str, Array] | None:
        """The next inputs, or None."""
        return next(self._left, None)


def _quantise(folder: Path) -> None:
    model, tools = onnx.load(folder / "graph.onnx"), onnxruntime_part("quantization")
    tools.quantize_static(
        model,
        folder / "integer.onnx",
        _Recorded(folder),
        quant_format=tools.QuantFormat.QDQ,
        nodes_to_quantize=products(model.graph),
        per_channel=True,
        reduce_range=True,  # 7-bit weights: without VNNI, products of 8 bits saturate
        activation_type=tools.QuantType.QUInt8,
        weight_type=tools.QuantType.QInt8,
        extra_options=FLOAT_OUT,
    )


if __name__ == "__main__":
    _quantise(Path(sys.argv[1]))
