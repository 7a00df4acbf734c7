"""Tensors of the Open Inference Protocol as sequences, and outputs back in the same form.

Columns come end to end, [total, width] or [total], with ``lengths`` [B], or without as one
sequence; or as a batch, [B, n, width] or [B, n]: all of it, or the ``lengths`` first tokens, or
where ``mask`` [B, n] is not 0, or where not all columns hold the ``pad_value``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from service.columns import VectorColumn
from service.errors import BadRequest
from service.manifest import Column, ContextColumn, Manifest
from service.pack import Array
from service.wires.draft import Values
from service.wires.oip_fields import Parameters, Scalar
from service.wires.oip_request import Input
from service.wires.tensors import BYTES
from service.wires.validation import Limits, check_places, check_sequences

LENGTHS, MASK, PAD = "lengths", "mask", "pad_value"


class OipSequences:
    """A draft over the inputs of a request, which are read when they are asked for."""

    def __init__(
        self,
        inputs: Mapping[str, Input],
        parameters: Parameters,
        manifest: Manifest,
        limits: Limits,
    ) -> None:
        self._columns = {c.name: c for c in manifest.columns if c.name in inputs}
        known = {column.name for column in (*manifest.columns, *manifest.context)}
        extra = {n: one for n, one in inputs.items() if n in (LENGTHS, MASK) and n not in known}
        self._lengths, self._mask = extra.get(LENGTHS), extra.get(MASK)
        self._inputs = {name: one for name, one in inputs.items() if name not in extra}
        self._pad, self._limits = parameters.get(PAD), limits
        self.names = tuple(self._inputs)

    @cached_property
    def batch(self) -> tuple[int, int] | None:
        """(B, n) that all columns are, or None where they lie end to end."""
        found: dict[tuple[int, int] | None, str] = {}
        for name, column in self._columns.items():
            found.setdefault(_batch(name, column, self._inputs[name].shape), name)
        if len(found) > 1:
            names = " and ".join(found.values())
            raise BadRequest(f"{names}: one is a batch and one is not, or of another size")
        batch = next(iter(found), None)
        if batch is not None:
            check_sequences(batch[0], self._limits)
            check_places(batch[0] * batch[1], self._limits)
        return batch

    def lengths(self, name: str) -> Array:
        """(N,) tokens of each sequence."""
        if self._kept is not None:
            return np.asarray(self._kept.sum(1, dtype=np.int64))
        total, given = self._inputs[name].shape[0], self._given_lengths
        if given is None:
            return np.array([total], np.int64)
        if sum(given.tolist()) != total:  # in Python's integers, which do not overflow
            raise BadRequest(
                f"{LENGTHS} add up to {sum(given.tolist())}, {name} has {total} tokens"
            )
        return given

    def tokens(self, column: Column) -> Values:
        """A column's values, padding left out."""
        array = self._array(column.name)
        return _values(array if self._kept is None else array[self._kept], column)

    def context(self, column: ContextColumn) -> Values:
        """[B, width], or [B] or [B, 1] of numbers."""
        shape, vector = self._inputs[column.name].shape, isinstance(column, VectorColumn)
        flat = not vector and len(shape) == 2 and shape[1] == 1
        if len(shape) != 1 + vector and not flat:
            wanted = f"[batch, {column.width}]" if isinstance(column, VectorColumn) else "[batch]"
            raise BadRequest(f"{column.name}: shape {shape}; {wanted} is needed")
        array = self._array(column.name)
        return _values(array[:, 0] if flat else array, column)

    def _array(self, name: str) -> Array:
        """A column's array, read once."""
        if name not in self._arrays:
            self._arrays[name] = self._inputs[name].array()
        return self._arrays[name]

    @cached_property
    def _arrays(self) -> dict[str, Array]:
        return {}

    @cached_property
    def _given_lengths(self) -> Array | None:
        """(B,) int64, not negative."""
        if self._lengths is None:
            return None
        if len(self._lengths.shape) != 1 or "INT" not in self._lengths.datatype:
            raise BadRequest(f"{LENGTHS}: must be INT64 of shape [batch]")
        check_sequences(self._lengths.shape[0], self._limits)
        found = self._lengths.array()
        if found.min(initial=0) < 0 or found.max(initial=0) > 2**62:
            i = int(np.argmax((found < 0) | (found > 2**62)))
            raise BadRequest(f"{LENGTHS}[{i}]: {found[i]} is no length")
        return found.astype(np.int64)

    @cached_property
    def _kept(self) -> Array | None:
        """(B, n) bool: where a batch has tokens."""
        if self.batch is None:
            for name, other in ((MASK, self._mask), (PAD, self._pad)):
                if other is not None:
                    raise BadRequest(f"{name}: goes with a batch, not with columns end to end")
            return None
        given = self._given_lengths
        kept = np.ones(self.batch, bool)
        if given is not None:
            kept &= _first_tokens(given, self.batch)
        if self._mask is not None:
            kept &= _bits(self._mask, self.batch)
        return kept if self._pad is None else kept & ~self._padding(self._pad)

    def _padding(self, pad: Scalar) -> Array:
        """(B, n) where every number of every column is the pad value."""
        if isinstance(pad, str | bool):
            raise BadRequest(f"parameter {PAD!r}: must be a number")
        arrays = [self._array(name) for name in self._columns]
        for name, array in zip(self._columns, arrays, strict=True):
            if array.dtype.kind == "O":
                raise BadRequest(f"parameter {PAD!r}: {name} has words; send a mask")
        equal = [(own == pad).all(axis=tuple(range(2, own.ndim))) for own in arrays]
        return np.asarray(np.logical_and.reduce(equal))

    def spread(self, rows: Array) -> Array:
        """(T, width) per-token outputs in the form of the inputs: a batch has 0 at padding."""
        if self.batch is None or self._kept is None:
            return rows
        found = np.zeros((*self.batch, rows.shape[1]), rows.dtype)
        found[self._kept] = rows
        return found


def _values(array: Array, column: Column | ContextColumn) -> Values:
    if not isinstance(column, VectorColumn):
        return Values(array)
    return Values(array.reshape(-1), np.full(len(array), array.shape[-1]))


def _first_tokens(lengths: Array, batch: tuple[int, int]) -> Array:
    """(B, n) the first of each row."""
    if len(lengths) != batch[0]:
        raise BadRequest(f"{LENGTHS} has {len(lengths)} values for a batch of {batch[0]}")
    if lengths.max(initial=0) > batch[1]:
        i = int(lengths.argmax())
        raise BadRequest(f"{LENGTHS}[{i}]: {lengths[i]} tokens in rows of {batch[1]}")
    return np.asarray(np.arange(batch[1]) < lengths[:, None])


def _bits(given: Input, batch: tuple[int, int]) -> Array:
    """(B, n) bool."""
    if given.shape != list(batch) or given.datatype == BYTES:
        raise BadRequest(f"{MASK}: must be BOOL of shape {list(batch)}")
    mask = given.array()
    wrong = (mask != 0) & (mask != 1)
    if wrong.any():
        i, j = np.argwhere(wrong)[0]
        raise BadRequest(f"{MASK}[{i}][{j}]: must be 0 or 1")
    return np.asarray(mask == 1)


def _batch(name: str, column: Column, shape: list[int]) -> tuple[int, int] | None:
    """The batch that a column is, or None; BadRequest where it is neither."""
    vector = isinstance(column, VectorColumn)
    axes = len(shape) - vector
    if axes not in (1, 2):
        forms = "[total, width] or [batch, n, width]" if vector else "[total] or [batch, n]"
        forms = forms.replace("width", str(getattr(column, "width", "")))
        raise BadRequest(f"{name}: shape {shape}; {forms} is needed")
    return (shape[0], shape[1]) if axes == 2 else None
