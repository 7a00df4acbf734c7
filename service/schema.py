"""What the OpenAPI page says of requests and answers. Tensors never pass through these classes."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from pydantic import BaseModel

from service.engine.cost import Cost, Costs
from service.manifest import Architecture, Column, ContextColumn, Manifest, Output
from service.streams.passes import passes

VERSION = version("sumserve")


class StageCost(BaseModel):
    """What a step has been found to take: ms_per_step + tokens * us_per_token / 1000."""

    us_per_token: float
    ms_per_step: float

    @classmethod
    def of(cls, cost: Cost) -> StageCost:
        """A learned line."""
        slope, start = cost.line
        return cls(us_per_token=round(slope * 1e6, 4), ms_per_step=round(start * 1e3, 4))


class ModelCost(StageCost):
    """Of a whole step, and of each of the bundle's stages in turn."""

    stages: list[StageCost]

    @classmethod
    def learned(cls, costs: Costs, name: str) -> ModelCost:
        """Of one model."""
        whole, stages = StageCost.of(costs.steps[name]), costs.stages[name]
        return cls(**whole.model_dump(), stages=[StageCost.of(stage) for stage in stages])


class Streaming(BaseModel):
    """How a sequence can be streamed to a model: in so many passes, one with nothing kept."""

    passes: int


class ModelInfo(BaseModel):
    """A served model, for clients: the manifest without its files.

    streaming: null for a model that takes its sequences as a whole only.
    """

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
    cost: ModelCost
    streaming: Streaming | None

    @classmethod
    def of(cls, manifest: Manifest, costs: Costs) -> ModelInfo:
        """The public part of a manifest, and what its steps have been found to take."""
        public = manifest.model_dump(include=set(cls.model_fields))
        often, cost = passes(manifest), ModelCost.learned(costs, manifest.name)
        streaming = {"passes": often} if often else None
        return cls.model_validate({**public, "cost": cost, "streaming": streaming})


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


class StreamUsage(BaseModel):
    """What a stream took. spool_bytes: kept between its passes; queue_ms: of its first piece."""

    tokens: int
    passes: int
    spool_bytes: int
    queue_ms: float
    compute_ms: float


class StreamedLine(BaseModel):
    """A line of a streamed answer: outputs per token of a piece, as a prediction has them.

    Pieces are cut anew, in order. The last line has the outputs per sequence, ``model``,
    ``version`` and ``usage``; or ``error``, and the answer ends there, unfinished.
    """

    outputs: Any = None
    labels: Any = None
    probabilities: Any = None
    model: str | None = None
    version: str | None = None
    usage: StreamUsage | None = None
    error: str | None = None


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
STREAM: dict[str, Any] = {
    "responses": {
        200: {
            "description": "The answer, after all of the sequence has come.",
            "content": {
                "application/x-ndjson": {"schema": StreamedLine.model_json_schema()},
                "application/vnd.apache.arrow.stream": {"schema": BINARY},
            },
        },
        **errors(400, 404, 408, 413, 415, 429, 500, 503, 504, 507),
    },
    "openapi_extra": _body(
        **{
            "application/x-ndjson": {"type": "string", "description": "a piece in each line"},
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
