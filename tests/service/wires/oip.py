"""Bodies of the Open Inference Protocol, made by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from service.manifest import Manifest
from service.pack import Array, Pack
from service.wires.oip_request import OipRequest, read
from service.wires.oip_sequences import OipSequences
from service.wires.tensors import Tensor, to_bytes
from service.wires.validation import Limits, admit
from tests.service.fakes import LIMITS

NAMES = {
    "float32": "FP32",
    "float64": "FP64",
    "float16": "FP16",
    "int64": "INT64",
    "int32": "INT32",
    "uint8": "UINT8",
    "bool": "BOOL",
    "object": "BYTES",
}


def described(name: str, array: Array) -> dict[str, Any]:
    return {"name": name, "shape": list(array.shape), "datatype": NAMES[array.dtype.name]}


def as_json(tensors: dict[str, Array], flat: bool = False, **extra: Any) -> bytes:
    inputs = [
        described(name, array) | {"data": (array.ravel() if flat else array).tolist()}
        for name, array in tensors.items()
    ]
    return json.dumps({"inputs": inputs, **extra}).encode()


def as_binary(tensors: dict[str, Array], **extra: Any) -> tuple[bytes, str]:
    """The body, and the value of its header."""
    inputs, raw = [], []
    for name, array in tensors.items():
        own = described(name, array)
        raw.append(bytes(to_bytes(Tensor(name, own["datatype"], array))))
        inputs.append(own | {"parameters": {"binary_data_size": len(raw[-1])}})
    head = json.dumps({"inputs": inputs, **extra}).encode()
    return head + b"".join(raw), str(len(head))


def request(body: bytes, header: str | None, of: Manifest, limits: Limits = LIMITS) -> OipRequest:
    return read(body, header, of, limits)


def arrays(body: bytes, header: str | None, of: Manifest) -> dict[str, Array]:
    """Every input's array."""
    return {name: one.array() for name, one in request(body, header, of).inputs.items()}


def pack(body: bytes, header: str | None, of: Manifest, limits: Limits = LIMITS) -> Pack:
    found = request(body, header, of, limits)
    return admit(OipSequences(found.inputs, found.parameters, of, limits), of, limits)


def words(*values: str) -> Array:
    return np.array(values, object)


def floats(values: Any) -> Array:
    """float32."""
    return np.array(values, np.float32)
