"""The JSON wire, inwards: request bytes -> validated sequences.

The fast path decodes with types and checks with numpy. Only when it finds something wrong does the
slow path look for the first culprit, to name what and where.
"""

from __future__ import annotations

from itertools import compress
from typing import Any, NoReturn

import msgspec
import numpy as np

from service.errors import BadRequest, BundleError
from service.manifest import IdsColumn, Manifest, VectorColumn
from service.pack import Array
from service.scheduler import cost

FIELD, MASK = "sequences", "mask"
FLOAT32_MAX = float(np.finfo(np.float32).max)


Column = VectorColumn | IdsColumn


Mask = list[list[bool | int]] | None


class VectorBody(msgspec.Struct, forbid_unknown_fields=True):
    """{"sequences": [[[...], ...], ...]}"""

    sequences: list[list[list[float]]]
    mask: Mask = None


class IdsBody(msgspec.Struct, forbid_unknown_fields=True):
    """{"sequences": [[...], ...]}"""

    sequences: list[list[int]]
    mask: Mask = None


_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    "vector": msgspec.json.Decoder(VectorBody),
    "ids": msgspec.json.Decoder(IdsBody),
}


def decode(body: bytes, manifest: Manifest, max_tokens: int) -> list[Array]:
    """Request body -> one array per sequence, (n, width) float32 or (n,) int64.

    With a ``mask`` tokens that have a 0 there are padding, and taken out. Raises BadRequest naming
    the field, the place and the limit.
    """
    column = carried(manifest)
    try:
        found = _DECODERS[column.kind].decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        _explain(body, manifest, max_tokens, str(error))
    sequences = found.sequences
    if found.mask is not None:
        _check_mask(found.mask, sequences)
        sequences = [list(compress(s, row)) for s, row in zip(sequences, found.mask, strict=True)]
    _check_lengths([len(s) for s in sequences], manifest, max_tokens)
    try:
        arrays = [_array(s, column) for s in sequences]
    except (ValueError, OverflowError) as error:
        _explain(body, manifest, max_tokens, str(error))
    if not all(_fits(a, column) for a in arrays):
        _explain(body, manifest, max_tokens, "values out of range")
    return arrays


def carried(manifest: Manifest) -> Column:
    """The one column of sequences; BundleError for a bundle that this wire cannot ask.

    It carries lists of vectors or of ids: no columns by name, no numbers, times or context.
    """
    column = manifest.columns[0]
    if len(manifest.columns) > 1 or manifest.context or column.kind in ("numeric", "time"):
        every = ", ".join(f"{c.name} ({c.kind})" for c in (*manifest.columns, *manifest.context))
        raise BundleError(
            f"{manifest.name}/{manifest.version} reads {every}: requests carry one column of "
            "vectors or ids"
        )
    assert isinstance(column, VectorColumn | IdsColumn)
    return column


def _check_lengths(lengths: list[int], manifest: Manifest, max_tokens: int) -> None:
    """Raise BadRequest unless there are sequences, of allowed lengths, within the token limit."""
    if not lengths:
        raise BadRequest(f"{FIELD}: holds no sequence, at least 1 is needed")
    tokens = sum(map(cost, lengths))
    if tokens > max_tokens:
        raise BadRequest(f"{FIELD}: {tokens} tokens, the limit is {max_tokens} per request")
    longest = manifest.max_length
    for i, n in enumerate(lengths):
        if n < manifest.min_length:
            raise BadRequest(f"{FIELD}[{i}]: {n} tokens, the minimum is {manifest.min_length}")
        if longest is not None and n > longest:
            raise BadRequest(f"{FIELD}[{i}]: {n} tokens, the maximum is {longest}")


def _array(sequence: list[Any], column: Column) -> Array:
    if isinstance(column, IdsColumn):
        return np.array(sequence, np.int64)
    with np.errstate(over="ignore"):  # too large for float32 becomes inf, and is found by _fits
        array = np.array(sequence, np.float32)
    return array if sequence else array.reshape(0, column.width)


def _fits(array: Array, column: Column) -> bool:
    if isinstance(column, IdsColumn):
        known = column.unknown or not len(array)
        return known or bool(array.min() >= column.low and array.max() <= column.high)
    return array.shape[1:] == (column.width,) and bool(np.isfinite(array).all())


def _explain(body: bytes, manifest: Manifest, max_tokens: int, fallback: str) -> NoReturn:
    """Raise BadRequest for the first thing that is wrong with a body."""
    sequences, mask = _sequences(body)
    for i, sequence in enumerate(sequences):
        if not isinstance(sequence, list):
            raise BadRequest(f"{FIELD}[{i}]: must be a list of tokens, not {_kind(sequence)}")
    if mask is None:
        mask = [[1] * len(sequence) for sequence in sequences]
    _check_mask(mask, sequences)
    _check_lengths([sum(map(bool, row)) for row in mask], manifest, max_tokens)
    for i, sequence in enumerate(sequences):
        for j, token in enumerate(sequence):
            if mask[i][j]:
                _check_token(token, carried(manifest), f"{FIELD}[{i}][{j}]")
    raise BadRequest(f"{FIELD}: {fallback}")


def _check_mask(mask: Any, sequences: list[Any]) -> None:
    """Raise BadRequest unless there is a 0 or 1 for every token."""
    if not isinstance(mask, list) or len(mask) != len(sequences):
        found = len(mask) if isinstance(mask, list) else _kind(mask)
        raise BadRequest(f"{MASK}: {found} rows for {len(sequences)} sequences")
    for i, (row, sequence) in enumerate(zip(mask, sequences, strict=True)):
        if not isinstance(row, list) or len(row) != len(sequence):
            found = len(row) if isinstance(row, list) else _kind(row)
            raise BadRequest(f"{MASK}[{i}]: {found} values for {len(sequence)} tokens")
        for j, value in enumerate(row):
            if value not in (0, 1):
                raise BadRequest(f"{MASK}[{i}][{j}]: must be 0 or 1")


def _sequences(body: bytes) -> tuple[list[Any], Any]:
    """The sequences of a body, and its mask."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body is not valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadRequest(f'the body must be a JSON object {{"{FIELD}": [...]}}')
    for key in found:
        if key not in (FIELD, MASK):
            raise BadRequest(f"unknown field {key[:40]!r}; the field is {FIELD!r}")
    if FIELD not in found:
        raise BadRequest(f"missing field {FIELD!r}")
    if not isinstance(found[FIELD], list):
        raise BadRequest(f"{FIELD}: must be a list of sequences, not {_kind(found[FIELD])}")
    sequences: list[Any] = found[FIELD]
    return sequences, found.get(MASK)


def _check_token(token: Any, column: Column, where: str) -> None:
    """Raise BadRequest when a decoded JSON token does not fit the column."""
    if isinstance(column, IdsColumn):
        if type(token) is not int:
            raise BadRequest(f"{where}: must be an integer id, not {_kind(token)}")
        if not column.unknown and not column.low <= token <= column.high:
            raise BadRequest(
                f"{where}: id {str(token)[:24]} is outside {column.low}..{column.high}"
            )
        return
    _check_vector(token, column, where)


def _check_vector(token: Any, column: VectorColumn, where: str) -> None:
    if not isinstance(token, list):
        raise BadRequest(f"{where}: must be a list of {column.width} numbers, not {_kind(token)}")
    if len(token) != column.width:
        raise BadRequest(f"{where}: {len(token)} numbers, the width is {column.width}")
    for k, number in enumerate(token):
        if type(number) not in (int, float):
            raise BadRequest(f"{where}[{k}]: must be a number, not {_kind(number)}")
        if not abs(number) <= FLOAT32_MAX:
            raise BadRequest(f"{where}[{k}]: must be finite in float32")


_KINDS = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "a boolean",
    float: "a float",
    type(None): "null",
}


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), "a number")
