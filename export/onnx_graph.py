"""One stage -> the bytes of one ONNX graph, with every size that varies left open."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.export import Dim

from export.stages import StageGraph

OPSET = 20

# Which dimension of which input varies, and what sets it.
_DYNAMIC = {
    "summary": "sequences",
    "count": "sequences",
    "rows": "blocks",
    "sizes": "blocks",
}


def to_onnx(stage: StageGraph) -> bytes:
    """Trace a stage and serialise it, weights included (one file, below 2 GB)."""
    names = {name: _DYNAMIC.get(name, "tokens") for name in stage.inputs}
    dims = {size: Dim(size) for size in set(names.values())}
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            stage.module.eval(),
            tuple(stage.inputs.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(stage.inputs),
            output_names=list(stage.outputs),
            dynamic_shapes=tuple({0: dims[size]} for size in names.values()),
            external_data=False,
            verbose=False,
        )
    assert program is not None
    return bytes(_without_traces(program.model_proto).SerializeToString())


def _without_traces(model: Any) -> Any:
    """Drop what the exporter notes of the machine it ran on: stack traces, with its paths."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for part in graph.initializer:
        part.ClearField("metadata_props")
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's own deprecations and notes concern its authors, not ours."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
