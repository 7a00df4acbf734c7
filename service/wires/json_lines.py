"""A stream's answer in JSON, a line each: the outputs of a piece; at the end those of the whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from service.manifest import Manifest
from service.pack import Array
from service.wires.json_answer import answer, dumps


class JsonLines:
    """Writes one answer. Its last line is the one with ``usage``, or the one with ``error``."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest

    def piece(self, tokens: int, outputs: Mapping[str, Array]) -> bytes:
        """Outputs per token, name -> (tokens, width), as a prediction has them for a sequence."""
        return dumps(self._found("token", tokens, outputs)) + b"\n"

    def end(self, outputs: Mapping[str, Array], usage: Mapping[str, Any]) -> bytes:
        """Outputs per sequence, name -> (1, width), and what it took."""
        head = {"model": self._manifest.name, "version": self._manifest.version}
        return dumps({**head, **self._found("sequence", 0, outputs), "usage": usage}) + b"\n"

    def error(self, message: str) -> bytes:
        """There will not be more."""
        return dumps({"error": message}) + b"\n"

    def _found(self, per: str, tokens: int, outputs: Mapping[str, Array]) -> dict[str, Any]:
        chosen = [own for own in self._manifest.outputs if own.per == per]
        if not chosen:
            return {}
        found = answer(self._manifest, np.array([tokens]), outputs, chosen)
        return {what: rows[0] for what, rows in found.items()}
