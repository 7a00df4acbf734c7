"""What sequences are made of, in a manifest's words: columns of tokens, and context."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
FileName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
GraphName = Annotated[str, Field(min_length=1, max_length=256)]
Width = Annotated[int, Field(gt=0, le=65_536)]
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Strict(BaseModel):
    """A frozen value that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class VectorColumn(Strict):
    """Float vectors: ``width`` finite numbers per token."""

    kind: Literal["vector"] = "vector"
    name: Name
    width: Width
    dtype: Literal["float32"] = "float32"


class NumericColumn(Strict):
    """One number per token, finite; or NaN for a missing one, where ``missing`` allows it."""

    kind: Literal["numeric"] = "numeric"
    name: Name
    dtype: Literal["float32"] = "float32"
    missing: bool = False


class TimeColumn(Strict):
    """One finite time per token, ascending or not: read relative to the sequence's first."""

    kind: Literal["time"] = "time"
    name: Name
    dtype: Literal["float64"] = "float64"


class IdsColumn(Strict):
    """Token ids: one integer per token, in ``low..high`` (both included); others if ``unknown``.

    ``labels`` are the words the ids stand for, in order.
    """

    kind: Literal["ids"] = "ids"
    name: Name
    dtype: Literal["int64"] = "int64"
    low: Int64
    high: Int64
    unknown: bool = False
    labels: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> IdsColumn:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        if self.labels is not None and len(self.labels) != self.high - self.low + 1:
            raise ValueError(f"{len(self.labels)} labels for {self.high - self.low + 1} ids")
        return self


Column = Annotated[
    VectorColumn | NumericColumn | TimeColumn | IdsColumn, Field(discriminator="kind")
]
ContextColumn = Annotated[VectorColumn | NumericColumn | IdsColumn, Field(discriminator="kind")]
