"""The JSON wire, outwards: outputs -> the body of a response."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from service.classes import best, softmax
from service.manifest import Manifest, Output
from service.pack import Array, runs


def encode(
    manifest: Manifest, lengths: Array, outputs: Mapping[str, Array], usage: Mapping[str, Any]
) -> bytes:
    """The response to a prediction."""
    head = {"model": manifest.name, "version": manifest.version}
    return dumps({**head, **answer(manifest, lengths, outputs), "usage": usage})


def answer(
    manifest: Manifest,
    lengths: Array,
    outputs: Mapping[str, Array],
    chosen: Sequence[Output] | None = None,
) -> dict[str, Any]:
    """``outputs`` per sequence, and of classifications ``labels`` and ``probabilities``.

    lengths: (N,); outputs: name -> (T, width) or (N, width); chosen: not all of them. Where a model
    has several, each sequence has an object by name.
    """
    chosen = manifest.outputs if chosen is None else chosen
    labelled = [output for output in chosen if output.labels]
    found = {"outputs": _rows(manifest, chosen, lengths, lambda o: outputs[o.name])}
    if labelled:
        found["labels"] = _rows(
            manifest, labelled, lengths, lambda o: np.array(best(outputs[o.name], o.labels or ()))
        )
        found["probabilities"] = _rows(
            manifest, labelled, lengths, lambda o: softmax(outputs[o.name])
        )
    return found


def _rows(manifest: Manifest, of: Any, lengths: Array, values: Callable[[Output], Array]) -> Any:
    """What each sequence has of the outputs."""
    columns = {output.name: _per_sequence(output, values(output), lengths) for output in of}
    if len(manifest.outputs) == 1:
        return next(iter(columns.values()))
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _per_sequence(output: Output, rows: Array, lengths: Array) -> Any:
    """Rows per token or per sequence -> one value per sequence, as JSON can be made of it."""
    if output.per == "token":
        rows_of = runs(rows, lengths.tolist())
        return rows_of if rows.dtype.kind == "f" else [own.tolist() for own in rows_of]
    return rows if rows.dtype.kind == "f" else rows.tolist()


def dumps(value: Any) -> bytes:
    """JSON, numpy arrays included."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
