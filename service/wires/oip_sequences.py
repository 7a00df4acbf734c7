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
from service.wires.oip_fields import Scalar
from service.wires.tensors import Tensor

LENGTHS, MASK, PAD = "lengths", "mask", "pad_value"


class OipSequences:
    """A draft over the tensors of a request."""

    def __init__(
        self, tensors: Mapping[str, Tensor], parameters: Mapping[str, Scalar], manifest: Manifest
    ) -> None:
        self._columns = {c.name: c for c in manifest.columns if c.name in tensors}
        known = {column.name for column in (*manifest.columns, *manifest.context)}
        extra = {n: t.array for n, t in tensors.items() if n in (LENGTHS, MASK) and n not in known}
        self._lengths, self._mask = extra.get(LENGTHS), extra.get(MASK)
        self._arrays = {name: t.array for name, t in tensors.items() if name not in extra}
        self._pad = parameters.get(PAD)
        self.names = tuple(self._arrays)
        self.batch = self._batch()  # (B, n) where tensors are a batch

    def _batch(self) -> tuple[int, int] | None:
        """The batch that all columns are, or None where they lie end to end."""
        found: dict[tuple[int, int] | None, str] = {}
        for name, column in self._columns.items():
            shape = self._arrays[name].shape
            axes = len(shape) - isinstance(column, VectorColumn)
            if axes not in (1, 2):
                width = [column.width] if isinstance(column, VectorColumn) else []
                forms = f"{['total', *width]} or {['batch', 'n', *width]}".replace("'", "")
                raise BadRequest(f"{name}: shape {list(shape)}; {forms} is needed")
            found.setdefault((shape[0], shape[1]) if axes == 2 else None, name)
        if len(found) > 1:
            names = " and ".join(found.values())
            raise BadRequest(f"{names}: one is a batch and one is not, or of another size")
        return next(iter(found), None)

    def lengths(self, name: str) -> Array:
        """(N,) tokens of each sequence."""
        if self._kept is not None:
            return np.asarray(self._kept.sum(1, dtype=np.int64))
        total = len(self._arrays[name])
        given = self._given_lengths
        if given is None:
            return np.array([total], np.int64)
        if sum(given.tolist()) != total:  # in Python's integers, which do not overflow
            raise BadRequest(
                f"{LENGTHS} add up to {sum(given.tolist())}, {name} has {total} tokens"
            )
        return given

    def tokens(self, column: Column) -> Values:
        """A column's values, padding left out."""
        array = self._arrays[column.name]
        return _values(array if self._kept is None else array[self._kept], column)

    def context(self, column: ContextColumn) -> Values:
        """[B, width], or [B] or [B, 1] of numbers."""
        array = self._arrays[column.name]
        vector = isinstance(column, VectorColumn)
        if not vector and array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim != 1 + vector:
            wanted = f"[batch, {column.width}]" if isinstance(column, VectorColumn) else "[batch]"
            raise BadRequest(f"{column.name}: shape {list(array.shape)}; {wanted} is needed")
        return _values(array, column)

    @cached_property
    def _given_lengths(self) -> Array | None:
        """(B,) int64, not negative."""
        if self._lengths is None:
            return None
        found = self._lengths
        if found.ndim != 1 or found.dtype.kind not in "iu":
            raise BadRequest(f"{LENGTHS}: must be INT64 of shape [batch]")
        if found.min(initial=0) < 0 or found.max(initial=0) > 2**62:
            i = int(np.argmax((found < 0) | (found > 2**62)))
            raise BadRequest(f"{LENGTHS}[{i}]: {found[i]} is no length")
        return found.astype(np.int64)

    @cached_property
    def _kept(self) -> Array | None:
        """(B, n) bool: where a batch has tokens."""
        if self.batch is None:
            if self._mask is not None:
                raise BadRequest(f"{MASK}: goes with a batch, not with columns that lie end to end")
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
        equal = [self._arrays[name] == pad for name in self._columns]
        flat = [own.reshape(*own.shape[:2], -1).all(-1) for own in equal]
        return np.asarray(np.logical_and.reduce(flat))

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


def _bits(mask: Array, batch: tuple[int, int]) -> Array:
    """(B, n) bool."""
    if mask.shape != batch or mask.dtype.kind == "O":
        raise BadRequest(f"{MASK}: must be BOOL of shape {list(batch)}")
    wrong = (mask != 0) & (mask != 1)
    if wrong.any():
        i, j = np.argwhere(wrong)[0]
        raise BadRequest(f"{MASK}[{i}][{j}]: must be 0 or 1")
    return np.asarray(mask == 1)
