"""The Open Inference Protocol, inwards: JSON, or JSON with raw tensors behind it -> a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import simdjson

from service.errors import BadRequest, quoted
from service.manifest import Column, ContextColumn, Manifest
from service.pack import Array
from service.wires import oip_fields
from service.wires.document import Document, fields, listed
from service.wires.oip_fields import Scalar
from service.wires.oip_json import array_of, levels, lists
from service.wires.tensors import NUMBERS, from_bytes
from service.wires.validation import Limits

REQUEST = ("id", "parameters", "inputs", "outputs")
INPUT = ("name", "shape", "datatype", "parameters", "data")
OUTPUT = ("name", "parameters", "shape", "datatype")
NOTHING = memoryview(b"")


@dataclass(frozen=True, slots=True)
class Wanted:
    """An output as it is asked for: raw bytes or JSON; the ``classes`` largest, or all of it."""

    name: str
    binary: bool
    classes: int = 0

    @classmethod
    def of(cls, value: Any, where: str, binary: bool) -> Wanted:
        """Read from the JSON; ``binary`` where it does not say."""
        given = fields(value, where, OUTPUT)
        parameters = oip_fields.parameters(given.get("parameters"), where)
        raw = oip_fields.flag(parameters, "binary_data", where, binary)
        return cls(oip_fields.name(given, where), raw, oip_fields.classes(parameters, where))


@dataclass(slots=True)
class Input:
    """An input as its JSON describes it: with ``data``, or with ``size`` bytes behind the JSON.

    plain: its data may be copied unseen, as no list lies where a value should.
    """

    where: str
    name: str
    datatype: str
    shape: list[int]
    data: simdjson.Array | None = None
    size: int | None = None
    raw: memoryview = NOTHING
    plain: bool = False

    @classmethod
    def of(cls, value: Any, where: str) -> Input:
        """Read from the JSON; the data are not looked at."""
        given = fields(value, where, INPUT)
        name = oip_fields.name(given, where)
        where = f"{where} {quoted(name)}"
        datatype, shape = oip_fields.datatype(given, where), oip_fields.shape(given, where)
        parameters = oip_fields.parameters(given.get("parameters"), where)
        size = oip_fields.binary_size(parameters, "data" in given, where)
        data = listed(given["data"], f"{where}: data", "values") if size is None else None
        return cls(where, name, datatype, shape, data, size)

    @property
    def lists(self) -> int:
        """How many lists there ought to be in its JSON."""
        return 1 + (0 if self.data is None else lists(levels(self.data, self.shape)))

    def array(self) -> Array:
        """Its values, read now; BadRequest where they are not what they are said to be."""
        if self.data is None:
            return from_bytes(self.raw, self.datatype, self.shape, self.where)
        return array_of(self.data, self.datatype, self.shape, self.plain, self.where)


@dataclass(frozen=True, slots=True)
class OipRequest:
    """What the protocol says of a request. binary: of outputs that are not listed one by one."""

    inputs: dict[str, Input]
    id: str | None = None
    parameters: dict[str, Scalar] = field(default_factory=dict)
    outputs: tuple[Wanted, ...] | None = None
    binary: bool = False


def read(
    body: bytes | bytearray, header: str | None, manifest: Manifest, limits: Limits
) -> OipRequest:
    """A request from its body and the value of Inference-Header-Content-Length.

    Raises BadRequest naming the input and what is wrong with it.
    """
    size = _header_size(header, len(body))
    if size == 0 and header is not None:
        return _raw(body, manifest)
    document = Document(body if size == len(body) else body[:size], limits.json_depth)
    root = fields(document.root, "the request", REQUEST)
    parameters = oip_fields.parameters(root.get("parameters"), "the request")
    oip_fields.check_stateless(parameters)
    binary = oip_fields.flag(parameters, "binary_data_output", "the request")
    return OipRequest(
        _inputs(document, root, memoryview(body)[size:], limits.tensors),
        oip_fields.identity(root.get("id")),
        parameters,
        _outputs(root.get("outputs"), binary, limits.tensors),
        binary,
    )


def _header_size(header: str | None, body: int) -> int:
    """How many bytes of the body are JSON."""
    if header is None:
        return body
    if not (header.isascii() and header.isdigit() and len(header) <= 18):
        raise BadRequest(
            f"Inference-Header-Content-Length: {quoted(header, 40)} is no number of bytes"
        )
    if int(header) > body:
        raise BadRequest(f"Inference-Header-Content-Length: {header}, of a body of {body} bytes")
    return int(header)


def _raw(body: bytes | bytearray, manifest: Manifest) -> OipRequest:
    """All of the body as the one input, of one sequence; answered in binary."""
    columns: list[Column | ContextColumn] = [*manifest.columns, *manifest.context]
    column, *others = columns
    if others:
        names = ", ".join(one.name for one in (column, *others))
        raise BadRequest(f"a raw request has one input; this model reads {names}")
    shape, datatype = signature(column)
    size = NUMBERS[datatype].itemsize * prod(shape[1:])
    rows, over = divmod(len(body), size)
    if over:
        raise BadRequest(f"a raw request: {len(body)} bytes are no multiple of {size}, a token's")
    whole = Input(column.name, column.name, datatype, [rows, *shape[1:]], raw=memoryview(body))
    return OipRequest({column.name: whole}, binary=True)


def signature(column: Column | ContextColumn) -> tuple[list[int], str]:
    """A column's shape, -1 for the number of tokens or sequences, and its datatype."""
    datatype = {"float32": "FP32", "float64": "FP64", "int64": "INT64"}[column.dtype]
    return [-1, *([column.width] if column.kind == "vector" else [])], datatype


def _inputs(
    document: Document, root: Mapping[str, Any], raw: memoryview, most: int
) -> dict[str, Input]:
    """The inputs by name, with all of ``raw`` divided among those that have their bytes there."""
    if "inputs" not in root:
        raise BadRequest("the request: missing field 'inputs'")
    inputs = [Input.of(v, f"inputs[{i}]") for i, v in enumerate(_few(root, "inputs", most))]
    others = sum(isinstance(root.get(name), simdjson.Array) for name in ("inputs", "outputs"))
    plain = document.lists == others + sum(one.lists for one in inputs)
    found: dict[str, Input] = {}
    for one in inputs:
        if one.name in found:
            raise BadRequest(f"{one.where}: is given twice")
        one.plain = plain
        if one.size is not None:
            one.raw, raw = _cut(raw, one.size, one.where)
        found[one.name] = one
    if len(raw):
        raise BadRequest(f"{len(raw)} unexpected bytes after the last tensor")
    return found


def _few(root: Mapping[str, Any], name: str, most: int) -> simdjson.Array:
    """A list of no more tensors than are allowed."""
    found = listed(root[name], name, "tensors")
    if len(found) > most:
        raise BadRequest(f"{name}: {len(found)} tensors, the limit is {most}")
    return found


def _cut(raw: memoryview, size: int, where: str) -> tuple[memoryview, memoryview]:
    """An input's bytes, and those after it."""
    if size > len(raw):
        left = f"the body has {len(raw)} bytes left"
        raise BadRequest(f"{where}: binary_data_size is {size}, {left}")
    return raw[:size], raw[size:]


def _outputs(value: Any, binary: bool, most: int) -> tuple[Wanted, ...] | None:
    outputs = _few({"outputs": value}, "outputs", most) if value is not None else ()
    if not len(outputs):
        return None
    return tuple(Wanted.of(one, f"outputs[{i}]", binary) for i, one in enumerate(outputs))
