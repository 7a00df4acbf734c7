"""The TOML file that says what the columns of one's own data mean to a model."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from models.architectures import Size
from models.reason import reason
from models.signature import Kind, Name, Strict
from models.tasks import TASKS
from models.tasks.task import Recipe
from models.training.budget import TOKENS

LONGEST_NAME = 40


class DataError(Exception):
    """Data, or what is said of them, cannot be used; the message names file, row and column."""


class Source(Strict):
    """``from`` is the column's name in the file where it is not the model's own name for it."""

    source: str | None = Field(default=None, alias="from")


class NumericSpec(Source):
    """A number; ``log``, ``standardise``, ``missing`` and ``clip`` as in `NumericColumn`."""

    kind: Literal["numeric"]
    log: bool = False
    standardise: bool = True
    missing: Literal["refuse", "flag"] = "refuse"
    clip: PositiveFloat | None = None


class VectorSpec(Source):
    """A list of floats, as wide as the data say."""

    kind: Literal["vector"]


class IdsSpec(Source):
    """Integers in a range, or strings, of which the ``most`` frequent make a vocabulary.

    Without ``low`` and ``high`` the range is that of the training rows, and what they do not hold
    is read as unknown unless ``unknown`` is false.
    """

    kind: Literal["ids"]
    low: int | None = None
    high: int | None = None
    most: PositiveInt | None = None
    unknown: bool | None = None

    @model_validator(mode="after")
    def _whole_range(self) -> IdsSpec:
        if (self.low is None) != (self.high is None):
            raise ValueError("low and high go together")
        return self

    @property
    def reads_unknown(self) -> bool:
        """Whether an id never seen is allowed."""
        return self.unknown if self.unknown is not None else self.high is None


class TimeSpec(Source):
    """A time: a number in any unit, or a timestamp, read in seconds. Wavelengths are fitted."""

    kind: Literal["time"]
    shortest: PositiveFloat | None = None
    longest: PositiveFloat | None = None


class OutputSpec(Source):
    """What to learn; the ``labels`` of a classification are those of the training rows."""

    kind: Kind
    per: Literal["token", "sequence"]
    labels: tuple[str, ...] | None = None


ColumnSpec = Annotated[NumericSpec | VectorSpec | IdsSpec | TimeSpec, Field(discriminator="kind")]
ContextSpec = Annotated[NumericSpec | VectorSpec | IdsSpec, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class ModelTable(Size):
    """Which model, and how large."""

    architecture: str = "sumformer"


@dataclass(frozen=True, slots=True)
class TrainingTable(Recipe):
    """How to train; a batch holds whole sequences of at most ``tokens`` tokens."""

    steps: PositiveInt = 2000
    learning_rate: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 0.01
    evaluate_every: PositiveInt = 200
    tokens: PositiveInt = TOKENS


class DatasetSpec(Strict):
    """Columns of the tokens, context of a sequence, outputs; each by the model's name for it.

    A longer sequence than ``max_length`` is refused, in training and by the model.
    """

    name: Name
    columns: dict[Name, ColumnSpec] = Field(min_length=1)
    context: dict[Name, ContextSpec] = Field(default={})
    outputs: dict[Name, OutputSpec] = Field(min_length=1)
    max_length: PositiveInt | None = None
    model: ModelTable = ModelTable()
    training: TrainingTable = TrainingTable()

    @model_validator(mode="after")
    def _own_name(self) -> DatasetSpec:
        if self.name in TASKS:
            raise ValueError(f"name: {self.name!r} is a task that ships; call yours otherwise")
        if len(self.name) > LONGEST_NAME:
            raise ValueError(f"name: longer than {LONGEST_NAME}, an architecture is put behind it")
        return self

    @model_validator(mode="after")
    def _names_differ(self) -> DatasetSpec:
        for name in self.context:
            if name in self.columns:
                raise ValueError(f"context.{name}: there is a column of that name; use from")
        return self


def read_spec(path: Path) -> DatasetSpec:
    """Read the file. Raises DataError naming it, and every key that is wrong."""
    try:
        return DatasetSpec.model_validate(tomllib.loads(path.read_text()))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise DataError(f"{path}: {reason(error)}") from error
