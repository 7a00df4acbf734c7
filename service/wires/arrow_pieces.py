"""Pieces in Arrow: every row of every record batch of a stream, which is cut between messages.

Batches are read behind the schema and the dictionaries that came before them, as a whole stream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from service.manifest import Manifest
from service.pack import Pack
from service.wires.arrow_sequences import ArrowSequences
from service.wires.arrow_stream import (
    BATCH,
    DICTIONARY,
    HEAD,
    SHORT,
    about,
    head_of,
    readable,
    rows_of,
)
from service.wires.flatbuffer import Table
from service.wires.pieces import (
    GROUP_BYTES,
    Unit,
    check_size,
    in_halves,
    of_any_length,
    of_pieces,
)
from service.wires.validation import Limits, check_names

Read = Callable[[bytes, Manifest, Limits], Pack]

MOST_EMPTY = 2**12  # batches without rows


class ArrowPieces:
    """Record batches, with the dictionaries right before them; those without a row are left out."""

    name = "record batch"

    def __init__(self, read: Read, manifest: Manifest, limits: Limits, most_bytes: int) -> None:
        """read: the reader of predictions; most_bytes: of a message, and of all dictionaries."""
        self._read_all, self._most = read, most_bytes
        self._manifest, self._limits = of_any_length(manifest), of_pieces(limits, self.name)
        self._rest, self._schema, self._ended = bytearray(), b"", False
        self._units: list[Unit] = []
        self._empty = 0
        self._waiting, self._batches = 0, 0  # bytes of units; batches so far
        self._at, self._needed = 0, HEAD  # where the next message is; bytes to look at it again
        self._defines: dict[int, bytes] = {}  # for the next unit
        self._known: dict[int, bytes] = {}  # from those that were read
        self._sizes: dict[int, int] = {}  # of both

    @property
    def uncut(self) -> int:
        """Bytes of messages that are not cut."""
        return len(self._rest) + self._waiting

    @property
    def held(self) -> int:
        """Those, and what all batches are read behind."""
        return self.uncut + self._prefix()

    def cut(self, data: bytes, last: bool) -> list[Unit]:
        """Batches, once there are enough."""
        self._rest += data
        with readable():
            while self._message():
                pass
            del self._rest[: self._at]
            self._at = 0
            if last and self._rest:
                raise ValueError(SHORT)
        # The schema and dictionaries are read each time: for large ones, with more of the rest.
        if not last and self._waiting < max(GROUP_BYTES, self._prefix()):
            return []
        units, self._units, self._waiting = self._units, [], 0
        return units

    def _message(self) -> bool:
        """Take the next message, if it is all there."""
        left = len(self._rest) - self._at
        if self._ended and left:
            raise ValueError("it goes on after its end")
        if left < self._needed:
            return False
        size = HEAD + head_of(self._bytes(0, HEAD))
        if size == HEAD:
            self._ended, self._at = True, self._at + HEAD
            return True
        if left >= size:
            kind, header, more = about(memoryview(self._bytes(HEAD, size)))
            size += more
        check_size(self.name, self._batches + 1, min(left, size), self._most)
        if left < size:
            self._needed = min(size, self._most + 1)
            return False
        self._needed = HEAD
        message = self._bytes(0, size)
        self._at += size
        self._take(kind, header, message)
        return True

    def _bytes(self, start: int, stop: int) -> bytes:
        """Of the message that comes next."""
        return bytes(memoryview(self._rest)[self._at + start : self._at + stop])

    def _take(self, kind: int, header: Table, message: bytes) -> None:
        self._batches += kind == BATCH
        if not self._schema:
            self._schema = message
        elif kind == DICTIONARY:
            self._define(header.number(0, "q"), message)
        elif kind != BATCH or rows_of(header):
            self._add(message)
        else:
            self._empty += 1
            if self._empty > MOST_EMPTY:
                raise ValueError(f"it has more than {MOST_EMPTY} batches without rows")

    def _define(self, code: int, message: bytes) -> None:
        self._sizes[code] = len(message)
        if self._prefix() > self._most:
            what = "its schema and dictionaries are"
            raise ValueError(f"{what} larger than the limit of {self._most} bytes")
        self._defines[code] = message

    def _prefix(self) -> int:
        """Bytes that every group of batches is read behind."""
        return len(self._schema) + sum(self._sizes.values())

    def _add(self, message: bytes) -> None:
        data = b"".join(self._defines.values()) + message
        self._units.append(Unit(self._batches, data, self._defines))
        self._waiting += len(data)
        self._defines = {}

    def read(self, units: Sequence[Unit]) -> list[Pack]:
        """Each row a piece."""
        return in_halves(units, self._read, self.name) if units else []

    def _read(self, units: Sequence[Unit]) -> Pack:
        known = b"".join(self._known.values())
        body = b"".join([self._schema, known, *(unit.data for unit in units)])
        pack = self._read_all(body, self._manifest, self._limits)
        for unit in units:
            self._known |= unit.defines
        return pack

    def check_empty(self) -> None:
        """BadRequest where there is no schema, or one of other columns."""
        draft = ArrowSequences.read(self._schema, self._manifest, self._limits)
        check_names(draft, self._manifest)
