"""Arrow's IPC stream: a schema, then batches and the dictionaries they speak of.

Read here and not by nanoarrow, whose reader (0.9) trusts what messages claim: with a few bytes
flipped it crashes, or hands out memory beyond the body. Here every claim is held against the bytes
there are, and buffers stay where they lie. Source: the columnar format, Message.fbs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from service.errors import BadRequest
from service.pack import Array
from service.wires.arrow_array import VIEWS, ArrowArray
from service.wires.arrow_schema import Field, dictionaries, fields_of
from service.wires.flatbuffer import BROKEN, Table
from service.wires.validation import Limits, check_sequences

CONTINUATION, FILE = b"\xff\xff\xff\xff", b"ARROW1"
HEAD = 8  # bytes before a message's metadata: CONTINUATION and how many there are
SCHEMA, DICTIONARY, BATCH = 1, 2, 3  # kinds of messages
OLDEST = 3  # of metadata, V4: the first that is like today's
# Each takes its time and memory, however little there is in it.
MOST_MESSAGES = 16_384
MOST_PIECES = 65_536  # arrays and buffers, of all batches
MOST_WORDS = 2**20  # of all dictionaries
SHORT = "it is cut short"

Found = TypeVar("Found")
Message = tuple[int, Table, memoryview]  # what it is, its header and its data


class Stream:
    """A stream whose schema has been read; BadRequest where there is none, or one too large."""

    def __init__(self, body: bytes | bytearray, limits: Limits) -> None:
        self._body, self._limits = memoryview(body), limits
        self._messages = _messages(self._body)
        with readable():
            kind, header, _ = next(self._messages, (None, None, None))
            if kind != SCHEMA or header is None:
                raise ValueError("it does not start with a schema")
            self.fields = fields_of(header, limits.tensors)
        self._values = dict(dictionaries(self.fields))
        self._dictionaries: dict[int, ArrowArray] = {}
        self._pieces, self._words = iter(range(MOST_PIECES)), 0

    def batches(self) -> Iterator[list[ArrowArray]]:
        """The columns of each batch that has rows.

        BadRequest where what it claims is not there, or where there is more than is allowed.
        """
        with readable():
            messages = list(self._messages)
            rows = sum(rows_of(header) for kind, header, _ in messages if kind == BATCH)
            if rows:  # they need not take a byte
                check_sequences(rows, self._limits)
            for kind, header, data in messages:
                if kind == DICTIONARY:
                    self._define(header, data)
                elif kind != BATCH:
                    raise ValueError("it has a message that is no batch")
                elif rows_of(header):
                    yield self._batch(header, data)

    def _batch(self, header: Table, data: memoryview) -> list[ArrowArray]:
        rows, walk = rows_of(header), self._walk(header, data)
        columns = [walk.array(own) for own in self.fields]
        return [column.part(0, rows) for column in columns]

    def _define(self, header: Table, data: memoryview) -> None:
        code, batch = header.number(0, "q"), header.table(1)
        if code not in self._values or batch is None:
            raise ValueError("it has a dictionary of no column")
        if header.number(2, "B"):
            raise ValueError("it has a dictionary in pieces; send it whole")
        found = self._walk(batch, data).array(self._values[code])
        self._words += found.length
        if self._words > MOST_WORDS:
            raise ValueError(f"its dictionaries have more than {MOST_WORDS} values")
        self._dictionaries[code] = found

    def _walk(self, batch: Table, data: memoryview) -> _Walk:
        if batch.table(3) is not None:
            raise ValueError("its buffers are compressed; send them as they are")
        return _Walk(batch, data, self._dictionaries, self._pieces, most=8 * len(self._body))


class _Walk:
    """The arrays of one batch, in the order of the fields. most: values that one may have.

    A value takes a bit at least, but where it is null for its type or an empty list.
    """

    def __init__(
        self,
        batch: Table,
        data: memoryview,
        known: dict[int, ArrowArray],
        pieces: Iterator[int],
        most: int,
    ) -> None:
        # Rows of numpy, not lists: a batch may claim any number of them.
        self._nodes: Iterator[Array] = iter(batch.integers(1, 2))
        self._buffers: Iterator[Array] = iter(batch.integers(2, 2))
        self._views: Iterator[Array] = iter(batch.integers(4, 1))
        self._data, self._known, self._pieces, self._most = data, known, pieces, most
        self._left = len(data)

    def array(self, own: Field) -> ArrowArray:
        self._count()
        length, _ = _next(self._nodes).tolist()
        if not 0 <= length <= self._most:
            raise ValueError("a batch has more values than bytes")
        more = 0
        if own.type.format in VIEWS and own.code is None:
            (more,) = _next(self._views).tolist()
        if more < 0:
            raise ValueError("an array has less than no buffer")
        buffers = tuple(self._buffer() for _ in range(own.buffers + more))
        children = tuple(map(self.array, own.children))
        known = None if own.code is None else self._dictionary(own.code)
        return ArrowArray(own.column, own.type, length, 0, buffers, children, known)

    def _dictionary(self, code: int) -> ArrowArray:
        if code not in self._known:
            raise ValueError("a dictionary is missing")
        return self._known[code]

    def _buffer(self) -> memoryview:
        self._count()
        offset, size = _next(self._buffers).tolist()
        if offset < 0 or size < 0 or offset + size > len(self._data):
            raise ValueError("a buffer is not in its message")
        self._left -= size
        if self._left < 0:  # what is read of them would have no bound
            raise ValueError("its buffers overlap")
        return self._data[offset : offset + size]

    def _count(self) -> None:
        if next(self._pieces, None) is None:
            raise ValueError(f"its batches have more than {MOST_PIECES} arrays and buffers")


def _next(claims: Iterator[Found]) -> Found:
    """The next of what a batch claims about its arrays."""
    for claim in claims:
        return claim
    raise ValueError("a batch lacks some of its schema's columns")


def rows_of(batch: Table) -> int:
    """How many rows a batch claims."""
    rows = batch.number(0, "q")
    if rows < 0:
        raise ValueError("a batch has less than no row")
    return rows


def _messages(body: memoryview) -> Iterator[Message]:
    at = 0
    for _ in range(MOST_MESSAGES):
        if at == len(body):
            return
        metadata = _metadata(body, at)
        if metadata is None:
            return
        start = at + HEAD + len(metadata)
        kind, header, size = about(metadata)
        if start + size > len(body):
            raise ValueError(SHORT)
        yield kind, header, body[start : start + size]
        at = start + size
    raise ValueError(f"it has more than {MOST_MESSAGES} messages")


def _metadata(body: memoryview, at: int) -> memoryview | None:
    """What a message says of itself; None for the end of the stream."""
    if at + HEAD > len(body) and bytes(body[at : at + 4]) == CONTINUATION:
        raise ValueError(SHORT)
    size = head_of(bytes(body[at : at + HEAD]))
    if at + HEAD + size > len(body):
        raise ValueError(SHORT)
    return body[at + HEAD : at + HEAD + size] if size else None


def head_of(start: bytes) -> int:
    """How many bytes of metadata follow a message's first eight; 0 at the end of the stream."""
    if start.startswith(FILE):
        raise ValueError("it is a file; send the streaming format")
    if not start.startswith(CONTINUATION):
        raise ValueError("there is no message where one should begin")
    size = int.from_bytes(start[4:HEAD], "little", signed=True)
    if size < 0:
        raise ValueError(SHORT)
    return size


def about(metadata: memoryview) -> tuple[int, Table, int]:
    """Of a message: its kind, its header, and how many bytes of data follow."""
    message = Table.root(metadata)
    size, header = message.number(3, "q"), message.table(2)
    if size < 0:
        raise ValueError(SHORT)
    if header is None or message.number(0, "h") < OLDEST:
        raise ValueError("it has a message of an old or unknown form")
    return message.number(1, "B"), header, size


@contextmanager
def readable() -> Iterator[None]:
    """What is wrong in the block is said of the body."""
    try:
        yield
    except (ValueError, struct.error) as error:
        why = BROKEN if isinstance(error, struct.error | UnicodeDecodeError) else str(error)
        raise BadRequest(f"the body is not a readable Arrow stream: {why}") from error
