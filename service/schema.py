"""What the OpenAPI page says of requests and answers. Tensors never pass through these classes."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from pydantic import BaseModel

from service.manifest import Architecture, Column, ContextColumn, Manifest, Output

VERSION = version("sumserve")


class ModelInfo(BaseModel):
    """A served model, for clients: the manifest without its files."""

    name: str
    version: str
    architecture: Architecture
    columns: tuple[Column, ...]
    context: tuple[ContextColumn, ...]
    outputs: tuple[Output, ...]
    equivariant: bool
    positional: bool
    min_length: int
    max_length: int | None
    trained_lengths: tuple[int, int] | None
    tolerance: float

    @classmethod
    def of(cls, manifest: Manifest) -> ModelInfo:
        """The public part of a manifest."""
        return cls.model_validate(manifest.model_dump(include=set(cls.model_fields)))


class Models(BaseModel):
    """Every model served."""

    models: list[ModelInfo]


class Error(BaseModel):
    """The body of every answer that is not a success."""

    error: str


class Usage(BaseModel):
    """What a request took."""

    tokens: int
    sequences: int
    queue_ms: float
    compute_ms: float


class Prediction(BaseModel):
    """One output per sequence; classifiers add labels and probabilities."""

    model: str
    version: str
    outputs: list[Any]
    labels: list[Any] | None = None
    probabilities: list[Any] | None = None
    usage: Usage


class Sequences(BaseModel):
    """Sequences of unequal length.

    Of a model with one column, lists of its vectors, numbers or ids; of others, objects with a list
    per column and a value per context column. Padded ones come with a mask: 1 for every token, 0
    for what is to be left out.
    """

    sequences: list[list[Any]] | list[dict[str, Any]]
    mask: list[list[bool]] | None = None


class InputTensor(BaseModel):
    """An input: its numbers in ``data``, or behind the JSON and counted by binary_data_size."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, str | int | float | bool] | None = None
    data: list[Any] | None = None


class RequestedOutput(BaseModel):
    """An output that is asked for; parameters: binary_data, classification."""

    name: str
    parameters: dict[str, str | int | float | bool] | None = None


class InferRequest(BaseModel):
    """An Open Inference Protocol request; parameters: timeout, priority, pad_value."""

    id: str | None = None
    parameters: dict[str, str | int | float | bool] | None = None
    inputs: list[InputTensor]
    outputs: list[RequestedOutput] | None = None


class OutputTensor(BaseModel):
    """An output, its numbers in row-major order, or behind the JSON."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, str | int | float | bool] | None = None
    data: list[Any] | None = None


class InferResponse(BaseModel):
    """An Open Inference Protocol response."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These statuses answer with an `Error`."""
    return {status: {"model": Error} for status in statuses}


def _body(**media: Any) -> dict[str, Any]:
    """A request body by its media types."""
    content = {kind: {"schema": schema} for kind, schema in media.items()}
    return {"requestBody": {"required": True, "content": content}}


BINARY = {"type": "string", "format": "binary"}
PREDICT: dict[str, Any] = {
    "response_model": Prediction,
    "responses": errors(400, 404, 408, 413, 415, 429, 500, 503),
    "openapi_extra": _body(
        **{
            "application/json": Sequences.model_json_schema(),
            "application/vnd.apache.arrow.stream": BINARY,
        }
    ),
}
INFER: dict[str, Any] = {
    "response_model": InferResponse,
    "responses": errors(400, 404, 408, 413, 415, 429, 500, 503, 504),
    "openapi_extra": _body(
        **{
            "application/json": InferRequest.model_json_schema(),
            "application/octet-stream": BINARY,
        }
    ),
}
