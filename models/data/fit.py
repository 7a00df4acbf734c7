"""What the training rows say of the signature: vocabularies, widths, wavelengths, labels."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from models.data.columns import Values
from models.data.rows import Rows
from models.data.spec import (
    ContextSpec,
    DatasetSpec,
    IdsSpec,
    NumericSpec,
    OutputSpec,
    TimeSpec,
)
from models.pack import Pack
from models.reason import reason
from models.signature import (
    IdsColumn,
    NumericColumn,
    Output,
    Signature,
    TimeColumn,
    VectorColumn,
)

WIDEST_RANGE = 1_000_000
SHORT_GAPS = 0.01  # the quantile of gaps that the shortest wavelength is to tell apart


def fit(spec: DatasetSpec, rows: Rows, train: Tensor) -> Signature:
    """The signature of the rows whose numbers are in ``train`` (M,).

    Raises DataError naming the column that cannot be fitted.
    """
    lengths = rows.lengths[train]
    tokens = span(rows.lengths.cumsum(0)[train] - lengths, lengths)

    def seen(values: Values, per_token: bool) -> Tensor:
        return values.data[tokens if per_token else train]

    return Signature(
        columns=tuple(
            _time(name, own, seen(rows.columns[name], True), lengths, rows.columns[name])
            if isinstance(own, TimeSpec)
            else _column(name, own, seen(rows.columns[name], True), rows.columns[name])
            for name, own in spec.columns.items()
        ),
        context=tuple(
            _column(name, own, seen(rows.context[name], False), rows.context[name])
            for name, own in spec.context.items()
        ),
        outputs=tuple(
            _output(name, own, seen(rows.outputs[name], own.per == "token"), rows.outputs[name])
            for name, own in spec.outputs.items()
        ),
        min_length=min(1, int(rows.lengths.min())),
        max_length=spec.max_length,
    )


def span(starts: Tensor, lengths: Tensor) -> Tensor:
    """The indices starts[i] .. starts[i] + lengths[i] - 1 of every i, end to end."""
    shift = starts - (lengths.cumsum(0) - lengths)
    return torch.repeat_interleave(shift, lengths) + torch.arange(int(lengths.sum()))


def _column(
    name: str, own: ContextSpec, seen: Tensor, values: Values
) -> NumericColumn | VectorColumn | IdsColumn:
    if isinstance(own, NumericSpec):
        return NumericColumn(name=name, **own.model_dump(exclude={"kind", "source"}))
    if isinstance(own, IdsSpec):
        return (
            _vocabulary(name, own, seen, values)
            if values.words is not None
            else _range(name, own, seen, values)
        )
    return VectorColumn(name=name, width=_width(seen, values))


def _width(seen: Tensor, values: Values) -> int:
    if seen.dim() == 2 and seen.shape[1] == 0:
        raise values.at.wrong("there is no vector to tell the width from")
    return seen.shape[1] if seen.dim() == 2 else 1


def _range(name: str, own: IdsSpec, seen: Tensor, values: Values) -> IdsColumn:
    """Of integers: the range given, or the one seen."""
    if own.most is not None:
        raise values.at.wrong("most is for strings, these are integers")
    if own.low is not None and own.high is not None:
        low, high = own.low, own.high
    else:
        known = seen[seen > -(WIDEST_RANGE**2)]  # null is far below
        if not len(known):
            raise values.at.wrong("the training rows hold no id")
        low, high = int(known.min()), int(known.max())
    if high - low >= WIDEST_RANGE:
        raise values.at.wrong(f"{low}..{high} is too wide a range; strings get a vocabulary")
    try:
        return IdsColumn(name=name, low=low, high=high, unknown=own.reads_unknown)
    except ValidationError as error:
        raise values.at.wrong(reason(error)) from error


def _vocabulary(name: str, own: IdsSpec, seen: Tensor, values: Values) -> IdsColumn:
    """Of strings: the most frequent first, equals in alphabetical order."""
    if own.high is not None:
        raise values.at.wrong("low and high are for integers, these are strings")
    words = values.words or ()
    counts = torch.bincount(seen[seen >= 0], minlength=len(words)).tolist()
    found = sorted((-count, word) for count, word in zip(counts, words, strict=True) if count)
    if not found:
        raise values.at.wrong("the training rows hold no word")
    labels = tuple(word for _, word in found[: own.most])
    return IdsColumn(name=name, high=len(labels) - 1, unknown=own.reads_unknown, labels=labels)


def _time(name: str, own: TimeSpec, seen: Tensor, lengths: Tensor, values: Values) -> TimeColumn:
    """Wavelengths from nearly the smallest gap between tokens to the longest sequence."""
    pack = Pack({"time": seen}, lengths)
    gaps = seen.diff()[pack.owner.diff() == 0]
    gaps = gaps[gaps > 0]
    if not len(gaps) and (own.shortest is None or own.longest is None):
        raise values.at.wrong("no time passes in the training rows; give shortest and longest")
    longest = own.longest or float((seen - pack.first(seen)).max())
    if longest <= 0:
        raise values.at.wrong("a time before the first token's, and none after it")
    shortest = own.shortest or min(longest, float(np.quantile(gaps.numpy(), SHORT_GAPS)))
    if shortest > longest:
        raise values.at.wrong(f"shortest {shortest} is more than longest {longest}")
    return TimeColumn(name=name, shortest=shortest, longest=longest)


def _output(name: str, own: OutputSpec, seen: Tensor, values: Values) -> Output:
    """A regression is as wide as its targets and in their scale; a class has a logit per label."""
    if own.kind == "regression":
        if own.labels is not None:
            raise values.at.wrong("labels are for a classification")
        scale, offset = _units(seen, _width(seen, values))
        return Output(name=name, per=own.per, width=len(scale), scale=scale, offset=offset)
    words = values.words or ()
    found = sorted(words[i] for i in torch.bincount(seen).nonzero()[:, 0].tolist())
    labels = own.labels or tuple(map(str, found))
    if len(labels) < 2:
        raise values.at.wrong(f"a classification needs two labels, the training rows have {labels}")
    return Output(name=name, per=own.per, width=len(labels), kind="classification", labels=labels)


def _units(seen: Tensor, width: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Spread and mean of every number of the targets (M, width); one where it never varies."""
    if not len(seen):
        return (1.0,) * width, (0.0,) * width
    rows = seen.double().view(len(seen), -1)
    spread = rows.std(0, correction=0)
    return tuple(torch.where(spread > 0, spread, 1.0).tolist()), tuple(rows.mean(0).tolist())
