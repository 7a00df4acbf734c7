"""A stream's answer in Arrow: a batch of one row for each piece, and one for the whole at the end.

The schema is that of a prediction. Outputs per token are the lists of all rows, end to end; those
per sequence are in the last row, and null before.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from nanoarrow.ipc import StreamWriter

from service.manifest import Manifest
from service.pack import Array
from service.wires.arrow_answer import columns_of, lists, struct


class ArrowBatches:
    """Writes one answer."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest, self._written = manifest, io.BytesIO()
        self._writer = StreamWriter.from_writable(self._written)

    def piece(self, tokens: int, outputs: Mapping[str, Array]) -> bytes:
        """Outputs per token, name -> (tokens, width)."""
        self._write(tokens, outputs, missing=True)
        return self._taken()

    def end(self, outputs: Mapping[str, Array], usage: Mapping[str, Any]) -> bytes:
        """Outputs per sequence, name -> (1, width); Arrow has no place for what it took."""
        self._write(0, outputs, missing=False)
        self._writer.close()
        return self._taken()

    def error(self, message: str) -> bytes:
        """There will not be more: without its end the stream is cut short."""
        self._writer.release()
        return b""

    def _write(self, tokens: int, outputs: Mapping[str, Array], missing: bool) -> None:
        columns: dict[str, Any] = {}
        for own in self._manifest.outputs:
            if own.per == "token":
                rows = outputs.get(own.name, np.zeros((0, own.width), np.float32))
                ends = np.array([len(rows)])
                columns |= {name: lists(found, ends) for name, found in columns_of(own, rows)}
            else:
                rows = outputs.get(own.name, np.zeros((1, own.width), np.float32))
                columns |= dict(columns_of(own, rows, missing))
        self._writer.write_array(struct(columns, 1))

    def _taken(self) -> bytes:
        found = self._written.getvalue()
        self._written.seek(0)
        self._written.truncate()
        return found
