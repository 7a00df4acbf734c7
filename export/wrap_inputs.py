"""What each input of a model from elsewhere reads, in a manifest's words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
from pydantic import ValidationError

from export.wrap_axes import Role, axes_of
from export.wrap_file import Tensor, WrapError
from service.manifest import (
    Column,
    ContextColumn,
    IdsColumn,
    NumericColumn,
    PaddedInput,
    VectorColumn,
)

TYPES: tuple[str, ...] = get_args(PaddedInput.model_fields["dtype"].annotation)


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of a model's inputs and outputs, by the graph's names for them.

    outputs: all that are answered, and the order of their axes where it was said; without any, all.
    """

    masks: tuple[str, ...] = ()
    lengths: tuple[str, ...] = ()
    axes: Mapping[str, str] = field(default_factory=dict)
    pad: Mapping[str, float] = field(default_factory=dict)
    low_high: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str | None] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inputs:
    """All inputs of a graph; fixed: the sizes of b and n where the graph fixes them."""

    inputs: tuple[PaddedInput, ...]
    columns: tuple[Column, ...]
    context: tuple[ContextColumn, ...]
    fixed: Mapping[str, int]


def read_inputs(tensors: Iterable[Tensor], said: Said) -> Inputs:
    """What the inputs read; WrapError names one that cannot be told or served, and why."""
    named = {tensor.name: (tensor, _role(tensor, said)) for tensor in tensors}
    _check_names(set(named), said)
    for tensor, _ in named.values():
        if tensor.dtype not in TYPES:
            raise WrapError(f"input {tensor}: only {', '.join(TYPES)} are served")
    axes = axes_of(named, said.axes)
    columns: list[Any] = []
    context: list[Any] = []
    for name, (tensor, role) in named.items():
        if role == "values":
            (columns if "n" in axes[name] else context).append(_column(tensor, axes[name], said))
    if not columns:
        raise WrapError("no input is read per token: say --axes NAME=ORDER with an n in it")
    _check_twice([column.name for column in columns + context])
    inputs = tuple(_input(tensor, role, axes[n], said) for n, (tensor, role) in named.items())
    return Inputs(inputs, tuple(columns), tuple(context), _fixed(named, axes))


def _role(tensor: Tensor, said: Said) -> Role:
    if tensor.name in said.masks:
        return "mask"
    if tensor.name in said.lengths:
        return "lengths"
    if tensor.name in said.low_high:
        return "values"
    if len(tensor.dims) == 2 and "mask" in tensor.name.lower():
        return "mask"
    whole = tensor.dtype.startswith("int") and tensor.name not in said.axes
    return "lengths" if whole and len(tensor.dims) == 1 else "values"


def _check_names(names: set[str], said: Said) -> None:
    options = {
        "--mask": said.masks,
        "--lengths": said.lengths,
        "--axes": said.axes,
        "--pad": said.pad,
        "--low-high": said.low_high,
    }
    for option, given in options.items():
        for name in given:
            if name not in names:
                raise WrapError(f"{option} {name}: the inputs are {', '.join(sorted(names))}")


def _check_twice(names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise WrapError(f"two columns are called {name!r}: say --rename INPUT=NAME")


def _column(tensor: Tensor, axes: str, said: Said) -> Any:
    name = said.rename.get(tensor.name, tensor.name)
    try:
        if not tensor.dtype.startswith("float"):
            return IdsColumn(name=name, **_range(tensor, said))
        if tensor.name in said.low_high:
            raise WrapError(f"--low-high {tensor.name}: input {tensor} holds no ids")
        if "w" in axes:
            return VectorColumn(name=name, width=tensor.dims[axes.index("w")])
        return NumericColumn(name=name)
    except ValidationError as error:
        raise WrapError(unfit("input", tensor.name, error)) from error


def unfit(kind: str, name: str, error: ValidationError) -> str:
    """One line on what a manifest does not hold."""
    first = error.errors()[0]
    advice = f"; say --rename {name}=NAME" if first["loc"] == ("name",) else ""
    return f"{kind} {name!r}: {first['msg'].removeprefix('Value error, ')}{advice}"


def _range(tensor: Tensor, said: Said) -> dict[str, int]:
    if tensor.name not in said.low_high:
        raise WrapError(f"input {tensor} holds ids: say --low-high {tensor.name}=LOW:HIGH")
    low, high = said.low_high[tensor.name]
    least, most = (0, 1) if tensor.dtype == "bool" else _limits(tensor.dtype)
    if not least <= low <= high <= most:
        raise WrapError(f"--low-high {tensor.name}={low}:{high}: not a range of {tensor.dtype}")
    return {"low": low, "high": high}


def _limits(dtype: str) -> tuple[int, int]:
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def _input(tensor: Tensor, role: Role, axes: str, said: Said) -> PaddedInput:
    pad, column = said.pad.get(tensor.name, 0.0), None
    if tensor.name in said.pad:
        _check_pad(tensor, role, axes, pad)
    if role == "values":
        column = said.rename.get(tensor.name, tensor.name)
    reads = ("column" if "n" in axes else "context") if role == "values" else role
    values = {"name": tensor.name, "reads": reads, "dtype": tensor.dtype, "axes": axes}
    try:
        return PaddedInput.model_validate({**values, "column": column, "pad": pad})
    except ValidationError as error:
        raise WrapError(unfit("input", tensor.name, error)) from error


def _check_pad(tensor: Tensor, role: Role, axes: str, pad: float) -> None:
    what = f"--pad {tensor.name}={pad:g}"
    if "n" not in axes:
        raise WrapError(f"{what}: input {tensor} has no places to pad")
    if role == "mask" and pad not in (0, 1):
        raise WrapError(f"{what}: a mask holds 0 where there is no token, or 1 if it is inverted")
    if not tensor.dtype.startswith("float") and not pad.is_integer():
        raise WrapError(f"{what}: input {tensor} holds whole numbers")


def _fixed(named: Mapping[str, tuple[Tensor, Role]], axes: Mapping[str, str]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for name, (tensor, _) in named.items():
        for letter, dim in zip(axes[name], tensor.dims, strict=True):
            if letter != "w" and isinstance(dim, int) and sizes.setdefault(letter, dim) != dim:
                raise WrapError(f"input {tensor}: axis {letter} has another size than elsewhere")
    return sizes
