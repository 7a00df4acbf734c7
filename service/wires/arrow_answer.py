"""The Arrow wire, outwards: a row per sequence, made of the outputs' own memory."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import nanoarrow
import numpy as np
from nanoarrow.ipc import StreamWriter

from service.classes import best, softmax
from service.manifest import Manifest, Output
from service.pack import Array

MOST_INT32 = 2**31 - 1


def encode(manifest: Manifest, lengths: Array, outputs: Mapping[str, Array]) -> bytes:
    """Sequences of these lengths (N,), and rows (T, width) or (N, width) -> an IPC stream."""
    return written(to_arrow(manifest, lengths, outputs))


def written(table: Any) -> bytes:
    """A struct array as an IPC stream."""
    stream = io.BytesIO()
    with StreamWriter.from_writable(stream) as writer:
        writer.write_stream(table)
    return stream.getvalue()


def to_arrow(manifest: Manifest, lengths: Array, outputs: Mapping[str, Array]) -> Any:
    """The same as a struct array (N,) of nanoarrow.

    An output is a number or, of a width above 1, a fixed-size list; per token a list of those. With
    labels there are NAME.label and NAME.probability beside it.
    """
    columns: dict[str, Any] = {}
    for output in manifest.outputs:
        ends = np.cumsum(lengths) if output.per == "token" else None
        for name, array in columns_of(output, outputs[output.name]):
            columns[name] = array if ends is None else lists(array, ends)
    return struct(columns, len(lengths))


def columns_of(output: Output, rows: Array, missing: bool = False) -> Sequence[tuple[str, Any]]:
    """What one output becomes, by name; rows: (R, width), or one that is to be ``missing``."""
    found = [(output.name, _numbers(rows, missing))]
    if output.labels is not None:
        found.append((f"{output.name}.label", _words(best(rows, output.labels), missing)))
        found.append((f"{output.name}.probability", _numbers(softmax(rows), missing)))
    return found


def _numbers(rows: Array, missing: bool = False) -> Any:
    """(R, width) -> R numbers, or R lists of them."""
    flat = np.ascontiguousarray(rows, np.float32).ravel()
    if rows.shape[1] == 1:
        return _array(nanoarrow.float32(), len(flat), [None, flat], missing=missing)
    numbers = _array(nanoarrow.float32(), len(flat), [None, flat])
    kind = nanoarrow.fixed_size_list(nanoarrow.float32(), rows.shape[1])
    return _array(kind, len(rows), [None], [numbers], missing)


def _words(words: Sequence[str], missing: bool = False) -> Any:
    encoded = [word.encode() for word in words]
    offsets, large = _offsets(np.cumsum([len(word) for word in encoded], dtype=np.int64))
    kind = nanoarrow.large_string() if large else nanoarrow.string()
    return _array(kind, len(words), [None, offsets, b"".join(encoded)], missing=missing)


def lists(values: Any, ends: Array) -> Any:
    """Values of T tokens -> a list for each sequence; ends: (N,) where each stops."""
    offsets, large = _offsets(ends)
    make = nanoarrow.large_list if large else nanoarrow.list_
    return _array(make(nanoarrow.Schema(values.schema)), len(ends), [None, offsets], [values])


def _offsets(ends: Array) -> tuple[Array, bool]:
    """(R,) -> (R + 1,) as int32, and whether that is too small and they are int64."""
    large = bool(len(ends)) and int(ends[-1]) > MOST_INT32
    return np.append(0, ends).astype(np.int64 if large else np.int32), large


def struct(columns: Mapping[str, Any], rows: int) -> Any:
    """A table of columns by name."""
    kinds = {name: nanoarrow.Schema(array.schema) for name, array in columns.items()}
    return _array(nanoarrow.struct(kinds), rows, [None], list(columns.values()))


def _array(
    kind: Any,
    length: int,
    buffers: Sequence[Any],
    children: Sequence[Any] = (),
    missing: bool = False,
) -> Any:
    """An array over these buffers, which it keeps alive; no value is null, or the only one is."""
    if missing:
        buffers = [b"\0", *buffers[1:]]
    return nanoarrow.c_array_from_buffers(
        kind, length, buffers, null_count=int(missing), children=children, move=True
    )
