"""An ONNX file from elsewhere: read, refused where it cannot be wrapped, and cleaned.

Knows the format alone; what inputs mean is for `export.wrap_inputs`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx.external_data_helper import uses_external_data

from service.errors import SumserveError

MOST_BYTES = 2**31  # what one protobuf can be
MOST_RANK = 3
DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}
TYPES = {"float": "float32", "double": "float64"}  # onnx's names that differ from numpy's


class WrapError(SumserveError):
    """The model cannot be wrapped as it is, or not as it was said."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input of a graph; dims: a size, a symbol's name, or "" where nothing is said."""

    name: str
    dtype: str
    dims: tuple[int | str, ...]

    def __str__(self) -> str:
        dims = ", ".join(str(dim or "?") for dim in self.dims)
        return f"{self.name!r} ({self.dtype} [{dims}])"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model that can be wrapped, as far as its file tells."""

    model: Any
    inputs: tuple[Tensor, ...]
    outputs: tuple[str, ...]

    @property
    def opset(self) -> int:
        """The version of the standard operators."""
        versions = [o.version for o in self.model.opset_import if o.domain in ("", "ai.onnx")]
        return max(versions, default=1)

    @property
    def parameters(self) -> int:
        """How many numbers its initializers hold."""
        return sum(math.prod(part.dims) for part in self.model.graph.initializer)

    def only(self, outputs: tuple[str, ...]) -> bytes:
        """The model with these outputs alone, as bytes."""
        kept = onnx.ModelProto.FromString(self.model.SerializeToString())
        for own in [o for o in kept.graph.output if o.name not in outputs]:
            kept.graph.output.remove(own)
        return bytes(kept.SerializeToString())


def read_model(path: Path) -> ModelFile:
    """Read and clean a model; WrapError says in one line why it cannot be wrapped."""
    try:
        if path.stat().st_size >= MOST_BYTES:
            raise WrapError(f"{path}: 2 GB or more; a bundle's graph is one file below that")
        model = onnx.ModelProto.FromString(path.read_bytes())
    except OSError as error:
        raise WrapError(f"{path}: {error.strerror}") from error
    except DecodeError as error:
        raise WrapError(f"{path}: not an ONNX model, or only the beginning of one") from error
    if not (model.ir_version and model.opset_import and model.graph.output):
        raise WrapError(f"{path}: not an ONNX model: it has no version or no graph")
    _check_weights(path, model)
    _check_domains(path, model)
    _clean(model)
    inputs = tuple(_tensor(path, own) for own in model.graph.input)
    return ModelFile(model, inputs, tuple(own.name for own in model.graph.output))


def _check_weights(path: Path, model: Any) -> None:
    for tensor in _tensors(model):
        if uses_external_data(tensor):
            raise WrapError(
                f"{path}: weight {tensor.name!r} lies in another file; save the model as one file"
            )


def _check_domains(path: Path, model: Any) -> None:
    own = {function.domain for function in model.functions}
    for node in _nodes(model):
        if node.domain not in DOMAINS | own:
            raise WrapError(
                f"{path}: operator {node.op_type} is of {node.domain!r}; only the standard ones "
                "and com.microsoft's are served"
            )


def _clean(model: Any) -> None:
    """Drop what nothing reads, and what the file tells of the machine it was made on."""
    graph = model.graph
    read = {name for node in _nodes(model) for name in node.input}
    read |= {own.name for own in graph.output}
    given = {part.name for part in graph.initializer}  # older files list weights as inputs
    for own in [i for i in graph.input if i.name in given or i.name not in read]:
        graph.input.remove(own)
    model.ClearField("training_info")
    for part in _parts(model):
        for field in ("metadata_props", "doc_string"):
            if field in part.DESCRIPTOR.fields_by_name:
                part.ClearField(field)


def _tensor(path: Path, own: Any) -> Tensor:
    kind = own.type.WhichOneof("value")
    if kind != "tensor_type":
        what = str(kind or "untyped").removesuffix("_type").replace("_", " ")
        raise WrapError(f"{path}: input {own.name!r} is a {what}; only tensors are served")
    found = own.type.tensor_type
    if not found.HasField("shape"):
        raise WrapError(f"{path}: the file does not say how many axes input {own.name!r} has")
    dims = tuple(d.dim_value if d.dim_value > 0 else d.dim_param for d in found.shape.dim)
    dtype = onnx.TensorProto.DataType.Name(found.elem_type).lower()
    tensor = Tensor(own.name, TYPES.get(dtype, dtype), dims)
    if not 0 < len(dims) <= MOST_RANK:
        raise WrapError(f"{path}: input {tensor} has {len(dims)} axes; served are 1 to {MOST_RANK}")
    return tensor


def _graphs(graph: Any) -> Iterator[Any]:
    """A graph or function, and those in its nodes' attributes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                yield from _graphs(inner)


def _all_graphs(model: Any) -> Iterator[Any]:
    for top in (model.graph, *model.functions):
        yield from _graphs(top)


def _nodes(model: Any) -> Iterator[Any]:
    for graph in _all_graphs(model):
        yield from graph.node


def _tensors(model: Any) -> Iterator[Any]:
    """Every tensor that the file holds."""
    for graph in _all_graphs(model):
        if isinstance(graph, onnx.GraphProto):
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
    for node in _nodes(model):
        for attribute in node.attribute:
            yield from ([attribute.t] if attribute.HasField("t") else attribute.tensors)


def _parts(model: Any) -> Iterator[Any]:
    """Everything that may have a note attached."""
    yield model
    yield from _tensors(model)
    for graph in _all_graphs(model):
        yield graph
        yield from graph.value_info
        for node in graph.node:
            yield from (node, *node.attribute)
        if isinstance(graph, onnx.GraphProto):
            yield from (*graph.input, *graph.output)
