"""Measurements that are kept, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Cell = tuple[str, str]  # a mix and a wire


class Cells:
    """By contender and cell, in one file of JSON."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def get(self, contender: str, cell: Cell) -> dict[str, Any] | None:
        """What was measured, if it was."""
        found: dict[str, Any] | None = self._found.get(contender, {}).get(_name(cell))
        return found

    def put(self, contender: str, cell: Cell, found: dict[str, Any]) -> None:
        """Keep it, from now on."""
        self._found.setdefault(contender, {})[_name(cell)] = found
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(self._found, indent=1) + "\n")

    def rate(self, contender: str, cell: Cell) -> float:
        """Requests a second; 0 where it failed or was not measured."""
        return float((self.get(contender, cell) or {}).get("requests_per_second", 0))

    def all(self) -> dict[str, Any]:
        """Contender -> "mix, wire" -> what was measured."""
        return self._found


def _name(cell: Cell) -> str:
    return ", ".join(cell)
