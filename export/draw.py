"""Tokens to verify on: like those a model was trained on, and unlike any."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from models import signature
from models.embedding import Column, Columns, Number, Standardised
from models.model import Model
from service.pack import Array, Pack

# how far from the training data's mean, in their standard deviations, or how large
UNUSUAL: Mapping[str, float] = {"large": 100.0, "tiny": 1e-30, "denormal": 1e-41}
EPOCH = 1.7e9  # seconds
SHARE = 0.05  # of numbers that are missing and of ids that are unknown, where that is allowed


def usual(model: Model, lengths: list[int], rng: np.random.Generator) -> Pack:
    """Random tokens with the statistics the model was trained on."""
    shape, tokens = model.config.signature, sum(lengths)
    columns = _drawn(getattr(model.embed, "columns", None), shape.columns, tokens, rng)
    context = {}
    if model.context is not None:
        context = _drawn(model.context, shape.context, len(lengths), rng)
    return Pack(columns, np.array(lengths, np.int64), context)


def unusual(pack: Pack, shape: signature.Signature, kind: str) -> Pack:
    """The same pack with ``large``, ``tiny`` or ``denormal`` vectors and numbers, or ``constant``.

    Ids stay as they are, but ``constant`` ones are all the first; so are times, but for ``large``
    ones, which are as far from zero as seconds of our days are.
    """
    columns = {c.name: _changed(c, pack.columns[c.name], kind) for c in shape.columns}
    context = {c.name: _changed(c, pack.context[c.name], kind) for c in shape.context}
    return Pack(columns, pack.lengths, context)


def _changed(column: signature.Column, values: Array, kind: str) -> Array:
    if kind == "constant":
        return np.broadcast_to(values[:1], values.shape).copy()
    if isinstance(column, signature.TimeColumn):
        return values + (EPOCH if kind == "large" else 0.0)
    if isinstance(column, signature.IdsColumn):
        return values
    spread = np.nanstd(values, axis=0) if kind == "large" else 1.0
    unit = (values - np.nanmean(values, axis=0)) / np.maximum(np.nanstd(values, axis=0), 1e-30)
    return np.asarray(unit * spread * UNUSUAL[kind], np.float32)


def _drawn(
    columns: object, shape: tuple[signature.Column, ...], rows: int, rng: np.random.Generator
) -> dict[str, Array]:
    if not isinstance(columns, Columns):
        return {own.name: _unknown(own, rows, rng) for own in shape}
    parts = zip(shape, columns.columns, strict=True)
    return {own.name: _column(own, column, rows, rng) for own, column in parts}


def _unknown(own: signature.Column, rows: int, rng: np.random.Generator) -> Array:
    """Of columns whose statistics nothing tells: standard normal ones."""
    if isinstance(own, signature.VectorColumn):
        return rng.normal(size=(rows, own.width)).astype(np.float32)
    if isinstance(own, signature.NumericColumn):
        return _numbers(own, Number(own), rows, rng)
    return _without_statistics(own, rows, rng)


def _column(own: signature.Column, column: object, rows: int, rng: np.random.Generator) -> Array:
    assert isinstance(column, Column)
    if isinstance(own, signature.IdsColumn | signature.TimeColumn):
        return _without_statistics(own, rows, rng)
    if isinstance(own, signature.NumericColumn):
        assert isinstance(column, Number)
        return _numbers(own, column, rows, rng)
    assert isinstance(column, Standardised)
    mean, std = column.mean.numpy(), column.std.numpy()
    return np.asarray(mean + std * rng.normal(size=(rows, column.width)), np.float32)


def _without_statistics(
    own: signature.IdsColumn | signature.TimeColumn, rows: int, rng: np.random.Generator
) -> Array:
    if isinstance(own, signature.TimeColumn):
        return np.cumsum(rng.exponential(own.longest / 50, rows))
    ids = rng.integers(own.low, own.high + 1, rows)
    others = rng.choice([own.low - 1, own.high + 1, -(2**62), 2**62], rows)
    return np.where(rng.random(rows) < SHARE, others, ids) if own.unknown else ids


def _numbers(
    own: signature.NumericColumn, column: Number, rows: int, rng: np.random.Generator
) -> Array:
    values = column.scale.mean.item() + column.scale.std.item() * rng.normal(size=rows)
    if own.log:
        values = np.sign(values) * np.expm1(np.abs(values))
    if own.missing == "flag":
        values[rng.random(rows) < SHARE] = np.nan
    return np.asarray(values, np.float32)
