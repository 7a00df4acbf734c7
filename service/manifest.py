"""bundle.json: what a bundle is, what it reads and what it answers. Typed, versioned, strict."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Strict(BaseModel):
    """A frozen value that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class VectorColumn(Strict):
    """Float vectors: ``width`` finite numbers per token."""

    kind: Literal["vector"] = "vector"
    name: Name
    width: PositiveInt
    dtype: Literal["float32"] = "float32"


class IdsColumn(Strict):
    """Token ids: one integer per token, in ``low..high`` (both included)."""

    kind: Literal["ids"] = "ids"
    name: Name
    dtype: Literal["int64"] = "int64"
    low: Int64
    high: Int64

    @model_validator(mode="after")
    def _ordered(self) -> IdsColumn:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self


Column = Annotated[VectorColumn | IdsColumn, Field(discriminator="kind")]


class Output(Strict):
    """A named answer: ``width`` float32 numbers per token or per sequence.

    With ``labels`` the numbers are logits over these classes.
    """

    name: Name
    per: Literal["token", "sequence"]
    width: PositiveInt
    labels: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _a_label_per_number(self) -> Output:
        if self.labels is not None and len(self.labels) != self.width:
            raise ValueError(f"{len(self.labels)} labels for a width of {self.width}")
        return self


class Stage(Strict):
    """One graph of the chain; ``summary_width`` numbers per sequence are summed up after it.

    The last stage has none: it yields the outputs.
    """

    file: Name
    summary_width: PositiveInt | None = None


class Architecture(Strict):
    """What the model is, for people: the server does not need it."""

    name: str
    parameters: NonNegativeInt
    layers: NonNegativeInt
    latent_dims: tuple[PositiveInt, ...]


class Manifest(Strict):
    """The whole of bundle.json. ``files`` maps every other file of the bundle to its SHA-256;
    ``digest`` is that of the manifest itself.
    """

    format: Literal[1] = 1
    name: Name
    version: Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
    task: Literal["classification", "regression"]
    architecture: Architecture
    columns: tuple[Column, ...] = Field(min_length=1, max_length=1)
    outputs: tuple[Output, ...] = Field(min_length=1)
    equivariant: bool
    positional: bool
    min_length: NonNegativeInt
    max_length: PositiveInt | None
    trained_lengths: tuple[NonNegativeInt, NonNegativeInt] | None
    stages: tuple[Stage, ...] = Field(min_length=1)
    opset: PositiveInt
    tolerance: Annotated[float, Field(gt=0, le=0.1)]
    files: dict[Name, Sha256]
    digest: Sha256 | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        if self.max_length is not None and self.max_length < self.min_length:
            raise ValueError(f"max_length {self.max_length} is below min_length {self.min_length}")
        if len({output.per for output in self.outputs}) > 1:
            raise ValueError("outputs are all per token or all per sequence")
        return self

    def computed_digest(self) -> str:
        """SHA-256 of everything else in the manifest, so that a flipped bit is noticed here too."""
        values = self.model_dump(mode="json", exclude={"digest"})
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
