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
    """Sequences of unequal length: lists of vectors or of ids, as the model's column says.

    Padded ones come with a mask: 1 for every token, 0 for what is to be left out.
    """

    sequences: list[list[list[float]]] | list[list[int]]
    mask: list[list[bool]] | None = None


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These statuses answer with an `Error`."""
    return {status: {"model": Error} for status in statuses}


PREDICT: dict[str, Any] = {
    "response_model": Prediction,
    "responses": errors(400, 404, 408, 413, 415, 429, 500, 503),
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": Sequences.model_json_schema()}},
        }
    },
}
