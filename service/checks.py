"""What a graph would answer without complaint: lengths and ids out of range; what is not finite."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from service.errors import BadRequest
from service.manifest import Column, ContextColumn, IdsColumn, Manifest
from service.pack import Array, Pack


def earliest(wrong: Array) -> int | None:
    """The first place where it is so, of (R,) booleans. Of few, ``any`` would take four times."""
    return int(wrong.argmax()) if np.count_nonzero(wrong) else None


def check(pack: Pack, manifest: Manifest) -> None:
    """BadRequest naming the first sequence or column that is out of range."""
    check_lengths(pack.lengths, manifest)
    for column in manifest.columns:
        check_ids(column, pack.columns[column.name], f"{column.name}, token {{}}".format)
    for own in manifest.context:
        check_ids(own, pack.context[own.name], f"{own.name}[{{}}]".format)


def check_lengths(lengths: Array, manifest: Manifest) -> None:
    """BadRequest naming the first sequence that is too short or too long."""
    most = manifest.max_length
    wrong = lengths < manifest.min_length
    if most is not None:
        wrong |= lengths > most
    i = earliest(wrong)
    if i is not None:
        short = lengths[i] < manifest.min_length
        bound = f"minimum is {manifest.min_length}" if short else f"maximum is {most}"
        raise BadRequest(f"sequence {i}: {lengths[i]} tokens, the {bound}")


def check_ids(column: Column | ContextColumn, ids: Array, where: Callable[[int], str]) -> None:
    """BadRequest naming the first id that the column does not have."""
    if not isinstance(column, IdsColumn) or column.unknown or not len(ids):
        return
    if ids.min() >= column.low and ids.max() <= column.high:
        return
    i = int(np.argmax((ids < column.low) | (ids > column.high)))
    raise BadRequest(f"{where(i)}: id {ids[i]} is outside {column.low}..{column.high}")


def not_finite(manifest: Manifest, lengths: Array, outputs: Mapping[str, Array]) -> tuple[int, str]:
    """The first sequence with an output that is not finite, and why; N where there is none.

    lengths: (N,); outputs: name -> (T, width) or (N, width).
    """
    first, why = len(lengths), ""
    for output in manifest.outputs:
        finite = np.isfinite(outputs[output.name])
        if np.count_nonzero(finite) == finite.size:
            continue
        row = int(finite.all(axis=1).argmin())
        if output.per == "token":
            row = int(np.searchsorted(np.cumsum(lengths), row, side="right"))
        if row < first:
            first, why = row, f"output {output.name!r} is not finite for this input"
    return first, why
