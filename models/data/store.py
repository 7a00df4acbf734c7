"""A dataset as a model reads it: encoded by a signature, in memory, any rows of it as one batch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from models.data.columns import NULL, Values
from models.data.fit import span
from models.data.rows import Rows
from models.data.spec import DataError
from models.pack import Pack
from models.signature import (
    Column,
    IdsColumn,
    NumericColumn,
    Output,
    Signature,
    TimeColumn,
    VectorColumn,
)
from models.tasks.task import Batch


@dataclass(frozen=True, slots=True)
class Store:
    """N sequences, T tokens; ``per_token`` names the targets that have T rows."""

    pack: Pack
    targets: dict[str, Tensor]
    per_token: frozenset[str]

    def take(self, rows: Tensor) -> Batch:
        """The sequences of these numbers (M,), in that order."""
        lengths = self.pack.lengths[rows]
        tokens = span(self.pack.starts[rows], lengths)
        columns = {name: column[tokens] for name, column in self.pack.columns.items()}
        context = {name: column[rows] for name, column in self.pack.context.items()}
        targets = {
            name: target[tokens if name in self.per_token else rows]
            for name, target in self.targets.items()
        }
        return Batch(Pack(columns, lengths, context), targets)

    def fingerprint(self) -> str:
        """A digest of every value."""
        digest = hashlib.sha256(self.pack.lengths.numpy().tobytes())
        for group in (self.pack.columns, self.pack.context, self.targets):
            for name in sorted(group):
                digest.update(name.encode() + group[name].numpy().tobytes())
        return digest.hexdigest()


def encode(rows: Rows, signature: Signature) -> Store:
    """The rows as the signature reads them.

    Raises DataError naming the file, row and column that do not fit it: an id or label that it
    does not know, another width or kind, a length that it does not allow.
    """
    _check_lengths(rows, signature)
    columns = {c.name: _column(c, _named(rows.columns, c.name, rows)) for c in signature.columns}
    context = {c.name: _column(c, _named(rows.context, c.name, rows)) for c in signature.context}
    pack = Pack(columns, rows.lengths, context)
    for column in signature.columns:
        if isinstance(column, TimeColumn):
            early = columns[column.name] < pack.first(columns[column.name])
            rows.columns[column.name].at.refuse(early.numpy(), "a time before the first token's")
    targets = {o.name: _target(o, _named(rows.outputs, o.name, rows)) for o in signature.outputs}
    return Store(pack, targets, frozenset(o.name for o in signature.outputs if o.per == "token"))


def _named(found: Mapping[str, Values], name: str, rows: Rows) -> Values:
    if name not in found:
        raise DataError(f"{rows.at.files[0][0]}: nothing is said of the model's {name!r}")
    return found[name]


def _check_lengths(rows: Rows, signature: Signature) -> None:
    highest = signature.max_length
    wrong = rows.lengths < signature.min_length
    if highest is not None:
        wrong = wrong | (rows.lengths > highest)
    rows.at.refuse(
        wrong.numpy(),
        lambda i: (
            f"{rows.lengths[i]} tokens; the model takes {signature.min_length} to "
            f"{highest or 'any number'}"
        ),
    )


def _column(own: Column, values: Values) -> Tensor:
    """(R, ...) as the model takes it."""
    if isinstance(own, IdsColumn):
        return _ids(own, values)
    width = own.width if isinstance(own, VectorColumn) else None
    if values.words is not None or not values.data.is_floating_point():
        raise values.at.wrong(f"the model reads it as {own.kind}")
    data = _wide(values, width)
    if isinstance(own, NumericColumn) and own.missing == "refuse":
        values.at.refuse(data.isnan().numpy(), "missing (null or NaN), which the model refuses")
    return data


def _wide(values: Values, width: int | None) -> Tensor:
    """The data as (R, width), or (R,) where width is None."""
    data = values.data
    if width is not None and data.dim() == 2 and not len(data):
        return data.new_zeros(0, width)
    if data.shape[1:] != (() if width is None else (width,)):
        raise values.at.wrong(f"{_shape(data)}, where the model takes {width or 1}")
    return data


def _shape(data: Tensor) -> str:
    return f"vectors of {data.shape[1]}" if data.dim() == 2 else "single numbers"


def _ids(own: IdsColumn, values: Values) -> Tensor:
    """(R,) ids; one above ``high`` for a word that the model does not know."""
    data = values.data
    if data.is_floating_point():
        raise values.at.wrong("the model reads it as ids")
    if values.silent:
        data = torch.full_like(data, own.high + 1)
    elif values.words is not None:
        if own.labels is None:
            raise values.at.wrong(f"these are strings; the model reads ids {own.low}..{own.high}")
        data = _codes(values, own.labels, own.low, own.high + 1)
    elif own.labels is not None:
        raise values.at.wrong("these are integers; the model reads words")
    if not own.unknown:
        bad = (data < own.low) | (data > own.high)
        values.at.refuse(bad.numpy(), lambda i: f"unknown id {_original(values, i)!r}")
    return data


def _target(own: Output, values: Values) -> Tensor:
    """Numbers (R,) or (R, width), classes (R,) as int64."""
    if (values.words is None) != (own.kind == "regression"):
        raise values.at.wrong(f"the model's {own.name!r} is a {own.kind}")
    if (values.at.ends is None) != (own.per == "sequence"):
        raise values.at.wrong(f"the model's {own.name!r} is per {own.per}")
    if own.kind == "regression":
        return values.data if values.data.dim() == 1 == own.width else _wide(values, own.width)
    labels = own.labels or tuple(str(i) for i in range(max(2, own.width)))
    data = _codes(values, labels, 0, -1)
    values.at.refuse(
        (data < 0).numpy(),
        lambda i: (
            f"label {_original(values, i)!r} is not one of {', '.join(labels)}; a label that "
            "no training row has must be named in the TOML's labels"
        ),
    )
    return data


def _codes(values: Values, labels: tuple[str, ...], low: int, other: int) -> Tensor:
    """(R,) the place of each word among the labels, counted from ``low``; ``other`` for none."""
    place = {label: low + i for i, label in enumerate(labels)}
    table = [place.get(str(word), other) for word in values.words or ()]
    return torch.tensor([*table, other])[values.data]


def _original(values: Values, index: int) -> object:
    value = int(values.data[index])
    if value == (NULL if values.words is None else -1):
        return None
    return value if values.words is None else values.words[value]
