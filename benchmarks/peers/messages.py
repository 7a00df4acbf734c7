"""One sequence of vectors as a request on every wire, and how to read each wire's answer."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from benchmarks.peers.client import Reply, request
from service.pack import Array

HEADER = "Inference-Header-Content-Length"
ARROW = "application/vnd.apache.arrow.stream"
JSON_HEADERS = {"Content-Type": "application/json"}
RAW_HEADERS = {"Content-Type": "application/octet-stream"}
PREDICT, INFER = "/v1/models/reference/predict", "/v2/models/reference/infer"


@dataclass(frozen=True, slots=True)
class Message:
    """A whole request, the size of its body, and what turns the answer to it into (n, width)."""

    prepared: bytes
    body_bytes: int
    decode: Callable[[Reply], Array]


def v1_json(x: Array, long: bool = False) -> Message:
    """/v1 in JSON. long: numbers as a list of Python's floats is written, with 17 digits."""
    body = _dumps({"sequences": [x.tolist() if long else x]})
    return _post(PREDICT, body, JSON_HEADERS, lambda reply: _json(reply)["outputs"][0])


def v1_arrow(x: Array) -> Message:
    """/v1 in Arrow, both ways."""
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1])
    table = pa.table({"x": pa.ListArray.from_arrays(pa.array([0, len(x)], pa.int32()), vectors)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    headers = {"Content-Type": ARROW, "Accept": ARROW}
    return _post(PREDICT, sink.getvalue().to_pybytes(), headers, _arrow)


def oip_json(x: Array, batched: bool = False) -> Message:
    """The Open Inference Protocol in JSON. batched: with a first dimension of one."""
    shape = [1] * batched + list(x.shape)
    tensor = {"name": "x", "shape": shape, "datatype": "FP32", "data": x.ravel()}
    body = _dumps({"inputs": [tensor]})
    return _post(INFER, body, JSON_HEADERS, lambda reply: _json(reply)["outputs"][0]["data"])


def oip_binary(x: Array, compressed: bool = False, batched: bool = False) -> Message:
    """Its binary extension, plain or in gzip both ways."""
    parameters, shape = {"binary_data_size": x.nbytes}, [1] * batched + list(x.shape)
    tensor = {"name": "x", "shape": shape, "datatype": "FP32", "parameters": parameters}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    body, headers = head + x.tobytes(), {HEADER: str(len(head))}
    if compressed:
        body = gzip.compress(body, 1)
        headers |= {"Content-Encoding": "gzip", "Accept-Encoding": "gzip"}
    return _post(INFER, body, headers, _binary)


def app_json(x: Array, long: bool = False) -> Message:
    """What `benchmarks.peers.apps` reads."""
    body = _dumps({"x": x.tolist() if long else x})
    return _post("/predict", body, JSON_HEADERS, lambda reply: _json(reply)["y"])


def raw_json(x: Array) -> Message:
    """The same for `benchmarks.handlers`, which take every body as bytes."""
    return _post("/predict", _dumps({"x": x}), RAW_HEADERS, lambda reply: _json(reply)["y"])


def raw_binary(x: Array) -> Message:
    """Nothing but the numbers, both ways."""
    return _post(
        "/predict", x.tobytes(), RAW_HEADERS, lambda reply: np.frombuffer(reply.body, np.float32)
    )


def _post(
    path: str, body: bytes, headers: dict[str, str], values: Callable[[Reply], Any]
) -> Message:
    def decode(reply: Reply) -> Array:
        return np.array(values(reply), np.float32).reshape(-1, 8)

    return Message(request("POST", path, body, headers), len(body), decode)


def _dumps(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def _json(reply: Reply) -> Any:
    return orjson.loads(reply.body)


def _arrow(reply: Reply) -> Array:
    column = pa.ipc.open_stream(reply.body).read_all()["y"].combine_chunks()
    return np.asarray(column.flatten().flatten())


def _binary(reply: Reply) -> Array:
    body = bytes(reply.body)
    if "content-encoding" in reply.headers:
        body = gzip.decompress(body)
    return np.frombuffer(body[int(reply.headers[HEADER.lower()]) :], np.float32)
