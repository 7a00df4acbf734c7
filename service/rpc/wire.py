"""The Open Inference Protocol in protobuf: a ModelInferRequest in, the bytes of its answer out.

Tensors come as raw bytes, all of them, or all as lists of numbers, and are answered alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from service.asking import asked_timeout
from service.engine.request import Outputs
from service.errors import BadRequest, quoted
from service.manifest import Manifest
from service.pack import Array
from service.rpc.messages import message, parsed
from service.rpc.outline import check_listed
from service.wires import oip_fields
from service.wires.document import MOST_FIELDS
from service.wires.exchange import Exchange, exchanged
from service.wires.oip_answer import tensors_of
from service.wires.oip_fields import Scalar
from service.wires.oip_request import Input, OipRequest, Wanted
from service.wires.oip_sequences import OipSequences
from service.wires.tensors import BYTES, NUMBERS, text, to_bytes
from service.wires.validation import Limits

Body = bytes | bytearray
Headers = Mapping[str, str]

CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}
WIDE = {"int_contents": np.dtype("<i4"), "uint_contents": np.dtype("<u4")}  # others are as they are


def infer(body: Body, headers: Headers, manifest: Manifest, limits: Limits) -> Exchange:
    """A request of the Open Inference Protocol, over gRPC.

    It may take as long as its parameter or the deadline of its call says, whichever is shorter.
    """
    check_listed(body)
    request = read(parsed(message("ModelInferRequest"), bytes(body)), limits)
    found = exchanged(request, manifest, limits, encode)
    limited = [own for own in (found.timeout, asked_timeout(headers)) if own is not None]
    return replace(found, timeout=min(limited, default=None))


def read(given: Any, limits: Limits) -> OipRequest:
    """A ModelInferRequest. BadRequest names the input and what is wrong with it."""
    parameters = _parameters(given.parameters, "the request")
    oip_fields.check_stateless(parameters)
    for name in ("inputs", "outputs"):
        if (count := len(getattr(given, name))) > limits.tensors:
            raise BadRequest(f"{name}: {count} tensors, the limit is {limits.tensors}")
    raw, inputs = bool(given.raw_input_contents), _inputs(given)
    outputs = [_wanted(own, f"outputs[{i}]", raw) for i, own in enumerate(given.outputs)]
    return OipRequest(inputs, given.id, parameters, tuple(outputs) or None, raw)


def encode(
    request: OipRequest,
    asked: Sequence[Wanted],
    form: OipSequences,
    manifest: Manifest,
    outputs: Outputs,
) -> tuple[bytes, Headers]:
    """A ModelInferResponse, with raw tensors where the request's were raw."""
    about = {"model_name": manifest.name, "model_version": manifest.version, "id": request.id}
    answer = message("ModelInferResponse")(**about)
    for tensor in tensors_of(asked, form, manifest, outputs):
        own = answer.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        if request.binary:
            answer.raw_output_contents.append(bytes(to_bytes(tensor)))
        else:
            flat = tensor.array.ravel().tolist()
            values = [word.encode() for word in flat] if tensor.datatype == BYTES else flat
            getattr(own.contents, CONTENTS[tensor.datatype]).extend(values)
    return answer.SerializeToString(), {}


@dataclass(slots=True)
class Listed(Input):
    """An input whose values are listed one by one, in an InferTensorContents."""

    contents: Any = None

    def array(self) -> Array:
        """Its values, read now; BadRequest where they are not what they are said to be."""
        field = self._field()
        values, size = getattr(self.contents, field), prod(self.shape)
        if len(values) != size:
            found = f"{len(values)} values in {field}"
            raise BadRequest(f"{self.where}: {found}, shape {self.shape} needs {size}")
        if self.datatype == BYTES:
            return self._words(values).reshape(self.shape)
        return self._numbers(values, field).reshape(self.shape)

    def _field(self) -> str:
        """Where its values have to be, and no others."""
        field = CONTENTS.get(self.datatype)
        if field is None:
            raise BadRequest(f"{self.where}: {self.datatype} goes in raw_input_contents only")
        for own, _ in self.contents.ListFields():
            if own.name != field:
                raise BadRequest(f"{self.where}: {self.datatype} goes in {field}, not {own.name}")
        return field

    def _words(self, values: Sequence[bytes]) -> Array:
        found = np.empty(len(values), object)
        for i, value in enumerate(values):
            found[i] = text(memoryview(value), f"{self.where}: BYTES element {i}")
        return found

    def _numbers(self, values: Sequence[Any], field: str) -> Array:
        dtype = NUMBERS[self.datatype]
        wide = np.fromiter(values, WIDE.get(field, dtype), len(values))
        found = wide.astype(dtype, copy=False)
        wrong = found != wide if dtype.kind in "iu" else np.zeros(0, bool)
        if wrong.any():
            i = int(wrong.argmax())
            raise BadRequest(f"{self.where}: {field}[{i}]: {wide[i]} is no {self.datatype}")
        return found


def _inputs(given: Any) -> dict[str, Input]:
    """By name, each with its own of the raw contents if there are any."""
    raw, found = given.raw_input_contents, dict[str, Input]()
    if raw and len(raw) != len(given.inputs):
        counts = f"{len(raw)} for {len(given.inputs)} inputs"
        raise BadRequest(f"raw_input_contents: {counts}; there is one for each, or none")
    for i, tensor in enumerate(given.inputs):
        one = _input(tensor, f"inputs[{i}]", memoryview(raw[i]) if raw else None)
        if one.name in found:
            raise BadRequest(f"{one.where}: is given twice")
        found[one.name] = one
    return found


def _input(tensor: Any, where: str, raw: memoryview | None) -> Input:
    said = {"name": tensor.name, "datatype": tensor.datatype}
    name = oip_fields.name(said, where)
    where = f"{where} {quoted(name)}"
    datatype = oip_fields.datatype(said, where)
    shape = oip_fields.dimensions(tensor.shape, where)
    _parameters(tensor.parameters, where)
    if raw is None:
        return Listed(where, name, datatype, shape, contents=tensor.contents)
    if tensor.contents.ByteSize():
        raise BadRequest(f"{where}: has contents, and raw_input_contents besides")
    return Input(where, name, datatype, shape, raw=raw)


def _wanted(tensor: Any, where: str, raw: bool) -> Wanted:
    parameters = _parameters(tensor.parameters, where)
    name = oip_fields.name({"name": tensor.name}, where)
    return Wanted(name, raw, oip_fields.classes(parameters, where))


def _parameters(given: Any, where: str) -> dict[str, Scalar]:
    """Strings, numbers and booleans by name."""
    if len(given) > MOST_FIELDS:
        raise BadRequest(f"{where}: parameters: {len(given)} fields, the limit is {MOST_FIELDS}")
    found = {}
    for key, value in given.items():
        choice = value.WhichOneof("parameter_choice")
        if choice is None:
            raise BadRequest(f"{where}: parameter {quoted(key, 40)} has no value")
        oip_fields.check_offered(key, where)
        found[key] = getattr(value, choice)
    return found
