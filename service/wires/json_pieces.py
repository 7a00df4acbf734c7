"""Pieces in JSON, a line each: a list of tokens, or an object with a list per column."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from service.errors import BadRequest
from service.manifest import Manifest
from service.pack import Pack
from service.wires.pieces import (
    GROUP_BYTES,
    Unit,
    check_size,
    in_halves,
    of_any_length,
    of_pieces,
)
from service.wires.validation import Limits

FORMS = {b"[": "a list", b"{": "an object"}
MOST_BLANK = 2**16  # lines
STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)  # closed or not
NO_MARK = bytes(byte for byte in range(256) if byte not in b"[]{}\n")
NEWLINE, WINDOW = ord("\n"), 2**20  # brackets and newlines looked at together
STEPS = np.zeros(256, np.int8)
STEPS[list(b"[{")], STEPS[list(b"]}")] = 1, -1

Read = Callable[[bytes, Manifest, Limits], Pack]


class JsonPieces:
    """Lines; empty ones are passed over, but counted."""

    name = "line"

    def __init__(self, read: Read, manifest: Manifest, limits: Limits, most_bytes: int) -> None:
        """read: the reader of predictions; most_bytes: of a line."""
        self._read_all, self._most = read, most_bytes
        self._manifest, self._limits = of_any_length(manifest), of_pieces(limits, self.name)
        self._rest, self._whole, self._lines = bytearray(), 0, 0
        self._blank, self._form = 0, b""

    @property
    def uncut(self) -> int:
        """Bytes of lines that are not cut."""
        return len(self._rest)

    held = uncut

    def cut(self, data: bytes, last: bool) -> list[Unit]:
        """Lines, once there are enough."""
        end = data.rfind(b"\n") + 1
        self._whole = len(self._rest) + end if end else self._whole
        self._rest += data
        if last:
            self._whole = len(self._rest)
        self._check_rest()
        if self._whole < GROUP_BYTES and not last:
            return []
        whole = bytes(self._rest[: self._whole])
        del self._rest[: self._whole]
        self._whole = 0
        return self._units(whole)

    def _check_rest(self) -> None:
        """A line without end is not waited for."""
        left = len(self._rest) - self._whole
        if left > self._most:
            before = self._rest.count(b"\n", 0, self._whole)
            check_size(self.name, self._lines + before + 1, left, self._most)

    def _units(self, whole: bytes) -> list[Unit]:
        lines = whole.split(b"\n")
        if not lines[-1]:  # what is behind the last newline
            lines.pop()
        found = []
        for number, line in enumerate(lines, self._lines + 1):
            check_size(self.name, number, len(line), self._most)
            if line and not line.isspace():
                self._check_form(number, line)
                found.append(Unit(number, line))
        self._lines += len(lines)
        self._blank += len(lines) - len(found)
        if self._blank > MOST_BLANK:
            raise BadRequest(f"more than {MOST_BLANK} blank lines")
        return found

    def _check_form(self, number: int, line: bytes) -> None:
        """All lists or all objects: else lines could not be read together."""
        form = line.lstrip()[:1]
        if form in FORMS and form != (self._form or form):
            raise BadRequest(f"line {number}: must be {FORMS[self._form]}, as those before are")
        self._form = self._form or form

    def read(self, units: Sequence[Unit]) -> list[Pack]:
        """Each line a piece."""
        return in_halves(units, self._read, self.name) if units else []

    def _read(self, units: Sequence[Unit]) -> Pack:
        lines = b",\n".join(unit.data for unit in units)
        check_lines(lines)
        pack = self._read_all(b'{"sequences":[' + lines + b"\n]}", self._manifest, self._limits)
        if len(pack.lengths) != len(units):
            raise BadRequest("there is more than one value")
        return pack

    def check_empty(self) -> None:
        """There is nothing that could be wrong."""


def check_lines(lines: bytes) -> None:
    """BadRequest where brackets are open at a line's end: no value may go from line to line.

    Else two halves of a value would make a whole when they happen to be read together.
    """
    if b'"' in lines:
        lines = STRING.sub(b"", lines)
    marks, level = lines.translate(None, NO_MARK) + b"\n", 0
    for start in range(0, len(marks), WINDOW):
        part = np.frombuffer(marks[start : start + WINDOW], np.uint8)
        levels = level + np.cumsum(STEPS[part], dtype=np.int32)
        if levels.min() < 0 or levels[part == NEWLINE].any():
            raise BadRequest("its brackets do not match")
        level = int(levels[-1])
