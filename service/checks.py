"""What a graph would answer without complaint, and wrongly: lengths and ids out of their ranges."""

from __future__ import annotations

import numpy as np

from service.errors import BadRequest
from service.manifest import Column, ContextColumn, IdsColumn, Manifest
from service.pack import Array, Pack


def check(pack: Pack, manifest: Manifest) -> None:
    """BadRequest naming the first sequence or column that is out of range."""
    most = manifest.max_length
    wrong = pack.lengths < manifest.min_length
    if most is not None:
        wrong |= pack.lengths > most
    if wrong.any():
        i = int(np.flatnonzero(wrong)[0])
        allowed = f"{manifest.min_length} to {'any number' if most is None else most}"
        raise BadRequest(f"sequence {i} has {pack.lengths[i]} tokens, allowed are {allowed}")
    for column in manifest.columns:
        _check_ids(column, pack.columns[column.name])
    for column in manifest.context:
        _check_ids(column, pack.context[column.name])


def _check_ids(column: Column | ContextColumn, values: Array) -> None:
    if not isinstance(column, IdsColumn) or column.unknown or not len(values):
        return
    if values.min() < column.low or values.max() > column.high:
        raise BadRequest(f"{column.name}: ids outside {column.low}..{column.high}")
