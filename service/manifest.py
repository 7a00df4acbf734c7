"""bundle.json: what a bundle is, what it reads and what it answers. Typed, versioned, strict."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from math import prod
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from service.columns import Column as Column
from service.columns import ContextColumn as ContextColumn
from service.columns import FileName, GraphName, Name, Sha256, Strict, Width
from service.columns import IdsColumn as IdsColumn
from service.columns import NumericColumn as NumericColumn
from service.columns import TimeColumn as TimeColumn
from service.columns import VectorColumn as VectorColumn


class Output(Strict):
    """A named answer: ``width`` float32 numbers per token or per sequence.

    A classification's numbers are logits, over the classes in ``labels`` where they have names.
    """

    name: Name
    per: Literal["token", "sequence"]
    width: Width
    kind: Literal["classification", "regression"] = "regression"
    labels: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _a_label_per_number(self) -> Output:
        if self.labels is not None and len(self.labels) != self.width:
            raise ValueError(f"{len(self.labels)} labels for a width of {self.width}")
        if self.labels is not None and len(set(self.labels)) < self.width:
            raise ValueError(f"labels must differ: {', '.join(self.labels)}")
        return self


FP32 = "fp32"
MOST_NUMBERS = 2**22  # of a summary, per sequence
Merge = Literal["add", "max", "softmax"]


class SummaryField(Strict):
    """What one sequence has of a summary's field."""

    shape: tuple[Width, ...] = Field(max_length=4)
    dtype: Literal["float32", "int64"] = "float32"


class Summary(Strict):
    """What a layer keeps of a whole sequence, and how those of its parts merge.

    ``add`` and ``max`` go field by field; ``softmax`` has the fields ``top``, a maximum in bits,
    ``weighted``, sums of 2^(score - top) times something with top rounded up, and maybe more sums.
    """

    name: Annotated[str, Field(pattern=r"^(block|head)\.[A-Za-z0-9_.-]{1,64}$")]
    merge: Merge
    fields: dict[Name, SummaryField] = Field(min_length=1)

    @property
    def numbers(self) -> int:
        """How many numbers it has per sequence."""
        return sum(prod(field.shape) for field in self.fields.values())

    @model_validator(mode="after")
    def _holds_together(self) -> Summary:
        if self.numbers > MOST_NUMBERS:
            raise ValueError(f"{self.numbers} numbers per sequence, the limit is {MOST_NUMBERS}")
        if self.merge == "softmax" and not {"top", "weighted"} <= set(self.fields):
            raise ValueError(f"softmax summaries have top and weighted, not {list(self.fields)}")
        return self


class TokenStage(Strict):
    """Token-wise work in slices; ``summaries`` are what it contributes to."""

    kind: Literal["tokens"] = "tokens"
    file: FileName
    summaries: tuple[Summary, ...] = ()


class AttentionStage(Strict):
    """Attention over whole sequences of ``heads``, of equal length where ``unpadded``.

    ``places`` is how many keys a token is held against at most; without it, all of its sequence.
    """

    kind: Literal["attention"] = "attention"
    file: FileName
    heads: Width
    unpadded: bool
    places: PositiveInt | None = None


class SequenceStage(Strict):
    """What reads only summaries, and yields outputs per sequence."""

    kind: Literal["sequences"] = "sequences"
    file: FileName


class PaddedInput(Strict):
    """One input of a graph that takes padded batches: what it reads, and the order of its axes.

    b is the batch, n the places of tokens, w the width. Places without a token hold ``pad``; a mask
    holds 1 - pad where there is one, lengths count them.
    """

    name: GraphName
    reads: Literal["column", "context", "mask", "lengths"]
    column: Name | None = None
    axes: Annotated[str, Field(pattern=r"^[bnw]{1,3}$")]
    dtype: Literal["float32", "float64", "int64", "int32", "bool"]
    pad: float = 0.0


class PaddedOutput(Strict):
    """One output of such a graph, and the order of its axes: n where it is per token."""

    name: GraphName
    output: Name
    axes: Annotated[str, Field(pattern=r"^[bnw]{1,3}$")]


class PaddedStage(Strict):
    """A whole model that takes padded batches: run by sequences of like length."""

    kind: Literal["padded"] = "padded"
    file: FileName
    inputs: tuple[PaddedInput, ...] = Field(min_length=1)
    outputs: tuple[PaddedOutput, ...] = Field(min_length=1)


Stage = Annotated[
    TokenStage | AttentionStage | SequenceStage | PaddedStage, Field(discriminator="kind")
]


class Architecture(Strict):
    """What the model is, for people: the server does not need it."""

    name: Annotated[str, Field(pattern=r"^[\w.,+ -]{1,64}$")]
    parameters: NonNegativeInt
    layers: NonNegativeInt


class Variant(Strict):
    """The same bundle in another precision: a graph per stage, and what that costs.

    size: bytes of its graphs; error: the largest on usual golden inputs; by_length: the same of one
    sequence of so many tokens; figures: the task's own on
    validation data and what they are in float32, if it is a known one; speed: times float32's, on
    the CPU that exported it; forced: it was asked for although it is worse than allowed.
    """

    name: Literal["fp16", "int8"]
    files: tuple[FileName, ...]
    size: PositiveInt
    error: Annotated[float, Field(ge=0)]
    by_length: dict[PositiveInt, float] = Field(default={})
    figures: dict[str, float] = Field(default={})
    figures_fp32: dict[str, float] = Field(default={})
    speed: Annotated[float, Field(gt=0)]
    forced: bool = False


class Manifest(Strict):
    """The whole of bundle.json.

    tolerance: how far usual answers may be from the checkpoint's in float64, relative; isolation:
    how far what else is in a pack may move them, 0 for not a bit on a CPU; flops_per_token:
    nominal, of a sequence of 1,024 tokens or the longest; bytes_per_token: what is kept between
    passes; files: every other file of the bundle and its SHA-256; digest: that of the manifest.
    """

    format: Literal[2] = 2
    name: FileName
    version: Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
    architecture: Architecture
    columns: tuple[Column, ...] = Field(min_length=1, max_length=256)
    context: tuple[ContextColumn, ...] = Field(default=(), max_length=256)
    outputs: tuple[Output, ...] = Field(min_length=1, max_length=256)
    equivariant: bool
    positional: bool
    min_length: NonNegativeInt
    max_length: PositiveInt | None
    trained_lengths: tuple[NonNegativeInt, NonNegativeInt] | None
    stages: tuple[Stage, ...] = Field(min_length=1, max_length=1024)
    variants: tuple[Variant, ...] = ()
    flops_per_token: NonNegativeInt = 0
    bytes_per_token: NonNegativeInt = 0
    opset: PositiveInt
    tolerance: Annotated[float, Field(gt=0, le=0.1)]
    isolation: Annotated[float, Field(ge=0, le=0.1)] = 0.0
    files: dict[FileName, Sha256]
    digest: Sha256 | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        if self.max_length is not None and self.max_length < self.min_length:
            raise ValueError(f"max_length {self.max_length} is below min_length {self.min_length}")
        every = [s for t in self.stages if isinstance(t, TokenStage) for s in t.summaries]
        if sum(summary.numbers for summary in every) > MOST_NUMBERS:
            raise ValueError(f"stages: summaries of more than {MOST_NUMBERS} numbers per sequence")
        for what in ((*self.columns, *self.context), self.outputs):
            if len({own.name for own in what}) < len(what):
                raise ValueError(f"names must differ: {', '.join(own.name for own in what)}")
        beside = {f"{o.name}.{what}" for o in self.outputs for what in ("label", "probability")}
        for taken in beside & {output.name for output in self.outputs}:
            raise ValueError(f"outputs: {taken} is what another output's classes are called")
        for variant in self.variants:
            if variant.figures.keys() != variant.figures_fp32.keys():
                raise ValueError(f"variants: {variant.name} has figures that float32 has not")
            if len(variant.files) != len(self.stages):
                raise ValueError(f"variants: {variant.name} has {len(variant.files)} graphs")
        return self

    @property
    def numerics(self) -> str:
        """The start of the hash of verification.json: what tells this bundle's numbers apart."""
        return self.files.get("verification.json", "unverified")[:12]

    def variant(self, name: str) -> Variant | None:
        """The variant of that name; None for fp32. Raises KeyError naming those there are."""
        if name == FP32:
            return None
        found = {variant.name: variant for variant in self.variants}
        if name not in found:
            have = ", ".join((FP32, *found))
            raise KeyError(f"{self.name}/{self.version} has no variant {name!r}; it has {have}")
        return found[name]

    def computed_digest(self) -> str:
        """What `digest_of` says of the manifest when it is written."""
        return digest_of(self.model_dump(mode="json"))


def digest_of(values: Mapping[str, object]) -> str:
    """SHA-256 of everything else in a manifest's JSON, so that a flipped bit is noticed here too.

    Of the JSON and not of the fields: a field that a later version adds changes no older bundle.
    """
    others = {key: value for key, value in values.items() if key != "digest"}
    return hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()
