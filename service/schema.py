"""Bodies of requests and answers, for the OpenAPI page. Tensors never pass through these."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel

from service.catalog import Catalog, Served
from service.engine.cost import Cost, Costs
from service.manifest import Architecture, Column, ContextColumn, Output
from service.repository.index import Entry
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
    def learned(cls, costs: Costs) -> ModelCost:
        """Of one model."""
        whole = StageCost.of(costs.steps).model_dump()
        return cls(**whole, stages=[StageCost.of(stage) for stage in costs.stages])


class Streaming(BaseModel):
    """How a sequence can be streamed to a model: in so many passes, one with nothing kept."""

    passes: int


class ModelInfo(BaseModel):
    """A served version of a model, for clients: the manifest without its files.

    default: whether it is meant where no version is named; verification: the start of the SHA-256
    of its verification report; streaming: null for a model that takes its sequences whole.
    """

    name: str
    version: str
    default: bool
    aliases: list[str]
    verification: str
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
    def of(cls, served: Served, catalog: Catalog, costs: Costs) -> ModelInfo:
        """The public part of a manifest, and what its steps have been found to take."""
        manifest = served.manifest
        often = passes(manifest)
        return cls.model_validate(
            {
                **manifest.model_dump(include=set(cls.model_fields)),
                "default": catalog.is_default(served),
                "aliases": catalog.aliases_of(served),
                "verification": manifest.numerics,
                "cost": ModelCost.learned(costs),
                "streaming": {"passes": often} if often else None,
            }
        )


class Models(BaseModel):
    """Every version of every model served."""

    models: list[ModelInfo]


class IndexEntry(BaseModel):
    """A version in the model repository. state: READY, LOADING, UNLOADING or UNAVAILABLE."""

    name: str
    version: str
    state: str
    reason: str

    @classmethod
    def of(cls, entry: Entry) -> IndexEntry:
        """As it is found."""
        return cls(**asdict(entry))


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


class ExplanationUsage(Usage):
    """run_tokens: of so many tokens predictions would take as long; they count for a key's rate."""

    run_tokens: int


class Explanation(Prediction):
    """A prediction of the outputs per sequence, and what every token changes in them.

    changes: per sequence a list of its tokens' changes, each of the width of the output: the
    output less that of the sequence without the token; probability_changes: of ``probabilities``.
    """

    changes: list[Any]
    probability_changes: list[Any] | None = None
    usage: ExplanationUsage


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
