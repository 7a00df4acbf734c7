"""Tensors of the Open Inference Protocol: datatypes, and how their bytes lie in a body.

Little-endian, row-major; BYTES are elements of a uint32 length and so many bytes each. Source: Open
Inference Protocol v2 and Triton's binary tensor data extension.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from service.errors import BadRequest
from service.pack import Array

BYTES, BF16 = "BYTES", "BF16"
NUMBERS: dict[str, np.dtype] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
DATATYPES = (*NUMBERS, BF16, BYTES)
MOST_AXES = 8


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named array; of BYTES an array of strings."""

    name: str
    datatype: str
    array: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return self.array.shape


def from_bytes(data: memoryview, datatype: str, shape: Sequence[int], where: str) -> Array:
    """The array that all of ``data`` is, not copied; BadRequest where it is more or less."""
    if datatype == BYTES:
        return _strings(data, prod(shape), where).reshape(shape)
    dtype = np.dtype("<u2") if datatype == BF16 else NUMBERS[datatype]
    needed = prod(shape) * dtype.itemsize
    if needed != len(data):
        raise BadRequest(
            f"{where}: shape {list(shape)} of {datatype} is {needed} bytes, not {len(data)}"
        )
    array = np.frombuffer(data, dtype).reshape(shape)
    if datatype == "BOOL" and array.view("u1").max(initial=0) > 1:
        raise BadRequest(f"{where}: a BOOL is a byte of 0 or 1")
    if datatype == BF16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array


def _strings(data: memoryview, count: int, where: str) -> Array:
    """(count,) strings."""
    if count * 4 > len(data):
        raise BadRequest(f"{where}: {count} BYTES elements do not fit in {len(data)} bytes")
    found, start = np.empty(count, object), 0
    for i in range(count):
        end = start + 4
        end += struct.unpack_from("<I", data, start)[0] if end <= len(data) else len(data)
        if end > len(data):
            raise BadRequest(f"{where}: BYTES element {i} ends past the tensor's {len(data)} bytes")
        found[i] = text(data[start + 4 : end], f"{where}: BYTES element {i}")
        start = end
    if start != len(data):
        raise BadRequest(f"{where}: {len(data) - start} bytes after its {count} BYTES elements")
    return found


def text(data: memoryview, where: str) -> str:
    """UTF-8 as a string."""
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise BadRequest(f"{where}: is not UTF-8") from error


def to_bytes(tensor: Tensor) -> bytes | memoryview:
    """The bytes of a tensor; no copy of numbers that lie as they are needed."""
    if tensor.datatype != BYTES:
        flat = np.ascontiguousarray(tensor.array, NUMBERS[tensor.datatype])
        return flat.reshape(-1).view(np.uint8).data
    words = [word.encode() for word in tensor.array.ravel()]
    return b"".join(part for word in words for part in (struct.pack("<I", len(word)), word))
