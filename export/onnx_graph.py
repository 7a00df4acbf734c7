"""One stage -> the bytes of one ONNX graph, with every size that varies left open."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from export.operators import TRANSLATIONS
from export.stages import Stage, Values

OPSET = 20

# What the first two dimensions of an input vary with.
_DYNAMIC: dict[str, tuple[str, ...]] = {
    "column": ("tokens",),
    "hidden": ("tokens",),
    "read": ("tokens",),
    "owner": ("tokens",),
    "position": ("tokens",),
    "places": ("tokens",),
    "first": ("sequences",),
    "context": ("sequences",),
    "summary": ("sequences",),
    "count": ("sequences",),
    "rows": ("blocks", "block_tokens"),
    "sizes": ("blocks",),
    "block": ("blocks",),
    "query": ("batch", "queries"),
    "key": ("batch", "keys"),
    "value": ("batch", "keys"),
    "length": ("batch",),
}


class _Positional(nn.Module):
    """A stage whose inputs come by place."""

    def __init__(self, stage: Stage, names: list[str]) -> None:
        super().__init__()
        self.stage, self.names = stage, names

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        """The stage's outputs, in its order."""
        return tuple(self.stage.compute(dict(zip(self.names, values, strict=True))).values())


def to_onnx(stage: Stage, given: Mapping[str, Tensor]) -> tuple[bytes, Values]:
    """Trace a stage on examples of its inputs -> the graph, weights included, and what it yielded.

    The graph is one file, below 2 GB, and has the inputs that the stage reads.
    """
    with torch.no_grad():
        found = stage.eval().compute(given)
    same_length = "query" in given and "length" not in given
    dims = {size: Dim(size) for sizes in _DYNAMIC.values() for size in sizes}
    if same_length:
        dims["queries"] = dims["keys"]
    shapes = tuple({i: dims[size] for i, size in enumerate(_sizes(name))} for name in given)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            _Positional(stage, list(given)),
            tuple(given.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(given),
            output_names=list(found),
            dynamic_shapes=(shapes,),
            custom_translation_table=TRANSLATIONS,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    return bytes(_cleaned(program.model_proto).SerializeToString()), found


def _sizes(name: str) -> tuple[str, ...]:
    return _DYNAMIC[name.split(":")[0]]


def _cleaned(model: Any) -> Any:
    """Drop inputs that nothing reads, and what the exporter notes of the machine it ran on."""
    graph = model.graph
    read = {name for node in graph.node for name in node.input} | {o.name for o in graph.output}
    for unread in [i for i in graph.input if i.name not in read]:
        graph.input.remove(unread)
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
