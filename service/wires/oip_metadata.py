"""What the Open Inference Protocol says of a server and its models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from service.manifest import Manifest
from service.wires.oip_request import signature

EXTENSIONS = (
    "classification",
    "binary_tensor_data",
    "parameters",
    "schedule_policy",
    "model_configuration",
    "statistics",
)
PLATFORM = "onnxruntime_onnx"
RAGGED = {
    "lengths": "an input more, INT64 [batch]: the tokens of each sequence of those end to end",
    "mask": "an input more, BOOL [batch, n]: which places of a batch have a token",
    "pad_value": "a parameter: where all columns of a batch hold it, there is no token",
}


def metadata(manifest: Manifest, versions: Iterable[str]) -> dict[str, Any]:
    """A model's inputs and outputs; -1 is any number of tokens or sequences, all of them together.

    What makes several sequences of them (see RAGGED) is not listed: perf_analyzer, for one, sends
    something for every input there is.
    """
    return {
        "name": manifest.name,
        "versions": [*versions],
        "platform": PLATFORM,
        "inputs": [{"name": n, "datatype": d, "shape": s} for n, d, s in _inputs(manifest)],
        "outputs": [{"name": n, "datatype": d, "shape": s} for n, d, s in _outputs(manifest)],
    }


def config(manifest: Manifest) -> dict[str, Any]:
    """A model's configuration as Triton words it; batches are made of tokens, so it has none."""
    return {
        "name": manifest.name,
        "platform": PLATFORM,
        "backend": "onnxruntime",
        "version_policy": {"specific": {"versions": [int(manifest.version)]}},
        "max_batch_size": 0,
        "input": [_tensor_config(*one) for one in _inputs(manifest)],
        "output": [_tensor_config(*one) for one in _outputs(manifest)],
        "instance_group": [{"name": manifest.name, "kind": "KIND_AUTO", "count": 1}],
        "dynamic_batching": {},
        "model_transaction_policy": {"decoupled": False},
        "parameters": {name: {"string_value": what} for name, what in RAGGED.items()},
    }


Described = tuple[str, str, list[int]]  # name, datatype, shape


def _inputs(manifest: Manifest) -> list[Described]:
    found = []
    for column in (*manifest.columns, *manifest.context):
        shape, datatype = signature(column)
        found.append((column.name, datatype, shape))
    return found


def _outputs(manifest: Manifest) -> list[Described]:
    return [(output.name, "FP32", [-1, output.width]) for output in manifest.outputs]


def _tensor_config(name: str, datatype: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "data_type": f"TYPE_{datatype}", "dims": shape}
