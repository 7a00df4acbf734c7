"""What a model reads and answers, as plain values shared by tasks, models and checkpoints.

Every class is frozen and refuses unknown keys, so that a checkpoint written by a newer version is
an error and never a silently different model.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

Widths = tuple[PositiveInt, ...]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Kind = Literal["classification", "regression"]


class Strict(BaseModel):
    """A frozen value that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class VectorColumn(Strict):
    """Float vectors, shape (n, width); standardised inside the model."""

    kind: Literal["vector"] = "vector"
    name: Name = "x"
    width: PositiveInt


class NumericColumn(Strict):
    """One float per token, shape (n,); everything done to it is done inside the model.

    In this order: ``log`` takes sign(v) log(1 + |v|); ``standardise`` subtracts the training data's
    mean and divides by their standard deviation; a missing value (NaN) becomes 0, the mean, and a
    flag beside it says so, where ``missing`` is "flag"; ``clip`` bounds what came out.
    """

    kind: Literal["numeric"] = "numeric"
    name: Name
    log: bool = False
    standardise: bool = True
    missing: Literal["refuse", "flag"] = "refuse"
    clip: PositiveFloat | None = None


class IdsColumn(Strict):
    """Category ids, shape (n,), each in ``low..high`` (both included).

    With ``unknown`` any other id is read as one more category. ``labels`` names the ids in order.
    """

    kind: Literal["ids"] = "ids"
    name: Name = "ids"
    low: int = 0
    high: int
    unknown: bool = False
    labels: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> IdsColumn:
        if self.high < self.low:
            raise ValueError(f"ids are an empty range: low {self.low} is above high {self.high}")
        if self.labels is not None and len(self.labels) != self.high - self.low + 1:
            raise ValueError(f"{len(self.labels)} labels for {self.high - self.low + 1} ids")
        return self


class TimeColumn(Strict):
    """A float64 time per token, shape (n,), read relative to the sequence's first token.

    It is seen through sines of wavelengths from ``shortest`` to ``longest``, in the column's unit.
    """

    kind: Literal["time"] = "time"
    name: Name
    shortest: PositiveFloat
    longest: PositiveFloat


Column = Annotated[
    VectorColumn | NumericColumn | IdsColumn | TimeColumn, Field(discriminator="kind")
]


class Output(Strict):
    """One answer per token or per sequence: ``width`` numbers; logits for a classification.

    A regression answers in its own units: what the head gives times ``scale``, plus ``offset``, one
    of each per number; empty for ones and zeros.
    """

    name: Name = "y"
    per: Literal["token", "sequence"]
    width: PositiveInt
    kind: Kind = "regression"
    labels: tuple[str, ...] | None = None
    scale: tuple[PositiveFloat, ...] = ()
    offset: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Output:
        if self.labels is not None and len(self.labels) != self.width:
            raise ValueError(f"{len(self.labels)} labels for a width of {self.width}")
        if self.labels is not None and len(set(self.labels)) < self.width:
            raise ValueError(f"labels must differ: {', '.join(self.labels)}")
        if self.kind == "classification" and (self.scale or self.offset):
            raise ValueError("a classification has no scale and no offset")
        for name, units in (("scale", self.scale), ("offset", self.offset)):
            if units and len(units) != self.width:
                raise ValueError(f"{name}: {len(units)} numbers for a width of {self.width}")
        return self


class Signature(Strict):
    """Columns of the tokens, context of a whole sequence, outputs, and the lengths allowed.

    A context column has one value per sequence and is otherwise like a column; a time is none.
    """

    columns: tuple[Column, ...] = Field(min_length=1)
    context: tuple[VectorColumn | NumericColumn | IdsColumn, ...] = ()
    outputs: tuple[Output, ...] = Field(min_length=1)
    min_length: int = Field(default=1, ge=0)
    max_length: PositiveInt | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Signature:
        for what in ((*self.columns, *self.context), self.outputs):
            names = [part.name for part in what]
            if len(set(names)) < len(names):
                raise ValueError(f"names must differ: {names}")
        if self.max_length is not None and self.max_length < self.min_length:
            raise ValueError(f"max_length {self.max_length} is below min_length {self.min_length}")
        return self
