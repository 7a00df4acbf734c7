"""The Open Inference Protocol, outwards: outputs -> JSON, with raw tensors behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from service.errors import BadRequest, quoted
from service.manifest import Manifest, Output
from service.pack import Array
from service.wires.oip_request import OipRequest, Wanted
from service.wires.oip_sequences import OipSequences
from service.wires.tensors import BYTES, Tensor, to_bytes

HEADER = "Inference-Header-Content-Length"
JSON, BINARY = "application/json", "application/octet-stream"


def wanted(request: OipRequest, manifest: Manifest) -> tuple[Wanted, ...]:
    """The outputs that are asked for; BadRequest for one that the model does not have."""
    have = [output.name for output in manifest.outputs]
    if request.outputs is None:
        return tuple(Wanted(name, request.binary) for name in have)
    seen: set[str] = set()
    for one in request.outputs:
        if one.name not in have:
            listed = ", ".join(have)
            raise BadRequest(f"unknown output {quoted(one.name)}; this model answers {listed}")
        if one.name in seen:
            raise BadRequest(f"output {one.name!r} is asked for twice")
        seen.add(one.name)
    return request.outputs


def encode(
    request: OipRequest,
    asked: Sequence[Wanted],
    form: OipSequences,
    manifest: Manifest,
    outputs: Mapping[str, Array],
) -> tuple[bytes, dict[str, str]]:
    """The body and headers of a response. outputs: name -> (T, width) or (N, width)."""
    tensors = tensors_of(asked, form, manifest, outputs)
    raw = [to_bytes(t) for t, one in zip(tensors, asked, strict=True) if one.binary]
    left = iter(raw)
    head: dict[str, Any] = {"model_name": manifest.name, "model_version": manifest.version}
    if request.id is not None:
        head["id"] = request.id
    head["outputs"] = [
        _field(tensor, next(left) if one.binary else None)
        for tensor, one in zip(tensors, asked, strict=True)
    ]
    body = orjson.dumps(head, option=orjson.OPT_SERIALIZE_NUMPY)
    if not any(one.binary for one in asked):
        return body, {"Content-Type": JSON}
    return b"".join((body, *raw)), {"Content-Type": BINARY, HEADER: str(len(body))}


def tensors_of(
    asked: Sequence[Wanted], form: OipSequences, manifest: Manifest, outputs: Mapping[str, Array]
) -> list[Tensor]:
    """The outputs that are asked for, in the form of the inputs."""
    described = {output.name: output for output in manifest.outputs}
    return [_tensor(one, described[one.name], outputs[one.name], form) for one in asked]


def _field(tensor: Tensor, raw: bytes | memoryview | None) -> dict[str, Any]:
    """An output as the JSON describes it, with its data unless they are raw."""
    head = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
    if raw is not None:
        return head | {"parameters": {"binary_data_size": len(raw)}}
    flat = tensor.array.reshape(-1)
    return head | {"data": flat.tolist() if tensor.datatype == BYTES else flat}


def _tensor(one: Wanted, output: Output, rows: Array, form: OipSequences) -> Tensor:
    shaped = form.spread(rows) if output.per == "token" else rows
    if one.classes:
        return Tensor(one.name, BYTES, top(shaped, one.classes, output.labels))
    return Tensor(one.name, "FP32", np.ascontiguousarray(shaped))


def top(rows: Array, classes: int, labels: tuple[str, ...] | None) -> Array:
    """(..., width) -> (..., k) strings value:index[:label], the largest values first."""
    order = np.argsort(-rows, axis=-1, kind="stable")[..., :classes]
    values = np.take_along_axis(rows, order, -1)
    found = np.empty(order.shape, object)
    for at, index in np.ndenumerate(order):
        label = f":{labels[index]}" if labels else ""
        found[at] = f"{values[at]!s}:{index}{label}"
    return found
