"""Arrow's IPC stream: a schema, then batches and the dictionaries they speak of.

Read here and not by nanoarrow, whose reader (0.9) trusts what messages claim: with a few bytes
flipped it crashes, or hands out memory beyond the body. Here every claim is held against the bytes
there are, and buffers stay where they lie. Source: the columnar format, Message.fbs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from service.errors import BadRequest
from service.wires.arrow_array import VIEWS, ArrowArray
from service.wires.arrow_schema import Field, dictionaries, fields_of
from service.wires.flatbuffer import BROKEN, Table

CONTINUATION, FILE = b"\xff\xff\xff\xff", b"ARROW1"
SCHEMA, DICTIONARY, BATCH = 1, 2, 3  # kinds of messages
OLDEST = 3  # of metadata, V4: the first that is like today's
MOST_MESSAGES = 16_384  # each takes its time, however little there is in it
SHORT = "it is cut short"

Claim = TypeVar("Claim")


class Stream:
    """A stream whose schema has been read; BadRequest where there is none."""

    def __init__(self, body: bytes | bytearray) -> None:
        self._body = memoryview(body)
        self._messages = _messages(self._body)
        with _readable():
            kind, header, _ = next(self._messages, (None, None, None))
            if kind != SCHEMA or header is None:
                raise ValueError("it does not start with a schema")
            self.fields = fields_of(header)
        self._values = dict(dictionaries(self.fields))
        self._dictionaries: dict[int, ArrowArray] = {}

    def batches(self) -> Iterator[list[ArrowArray]]:
        """The columns of each batch; BadRequest where what it claims is not there."""
        with _readable():
            for kind, header, data in self._messages:
                if kind == BATCH:
                    yield self._batch(header, data)
                elif kind == DICTIONARY:
                    self._define(header, data)
                else:
                    raise ValueError("it has a message that is no batch")

    def _batch(self, header: Table, data: memoryview) -> list[ArrowArray]:
        rows = header.number(0, "q")
        if not 0 <= rows <= len(self._body):
            raise ValueError("a batch has more rows than bytes")
        walk = self._walk(header, data)
        columns = [walk.array(own, own.name) for own in self.fields]
        return [column.part(0, rows) for column in columns]

    def _define(self, header: Table, data: memoryview) -> None:
        code, batch = header.number(0, "q"), header.table(1)
        if code not in self._values or batch is None:
            raise ValueError("it has a dictionary of no column")
        if header.number(2, "B"):
            raise ValueError("it has a dictionary in pieces; send it whole")
        own = self._values[code]
        self._dictionaries[code] = self._walk(batch, data).array(own, own.name)

    def _walk(self, batch: Table, data: memoryview) -> _Walk:
        if batch.table(3) is not None:
            raise ValueError("its buffers are compressed; send them as they are")
        return _Walk(batch, data, self._dictionaries, most=8 * len(self._body))


class _Walk:
    """The arrays of one batch, in the order of the fields. most: values that one may have.

    A value takes a bit at least, but where it is null for its type or an empty list.
    """

    def __init__(
        self, batch: Table, data: memoryview, known: dict[int, ArrowArray], most: int
    ) -> None:
        self._nodes = iter(batch.integers(1, 2).tolist())
        self._buffers = iter(batch.integers(2, 2).tolist())
        self._views = iter(batch.integers(4, 1).ravel().tolist())
        self._data, self._known, self._most = data, known, most

    def array(self, own: Field, column: str) -> ArrowArray:
        length, _ = _next(self._nodes)
        if not 0 <= length <= self._most:
            raise ValueError("a batch has more values than bytes")
        more = _next(self._views) if own.type.format in VIEWS and own.code is None else 0
        buffers = tuple(self._buffer() for _ in range(own.buffers + more))
        children = tuple(self.array(child, column) for child in own.children)
        known = None if own.code is None else self._dictionary(own.code, column)
        return ArrowArray(column, own.type, length, 0, buffers, children, known)

    def _dictionary(self, code: int, column: str) -> ArrowArray:
        if code not in self._known:
            raise ValueError("a dictionary is missing")
        return replace(self._known[code], column=column)

    def _buffer(self) -> memoryview:
        offset, size = _next(self._buffers)
        if offset < 0 or size < 0 or offset + size > len(self._data):
            raise ValueError("a buffer is not in its message")
        return self._data[offset : offset + size]


def _next(claims: Iterator[Claim]) -> Claim:
    """The next of what a batch claims about its arrays."""
    for claim in claims:
        return claim
    raise ValueError("a batch lacks some of its schema's columns")


def _messages(body: memoryview) -> Iterator[tuple[int, Table, memoryview]]:
    """What each message is, its header and its data."""
    at = 0
    for _ in range(MOST_MESSAGES):
        if at == len(body):
            return
        metadata = _metadata(body, at)
        if metadata is None:
            return
        start = at + 8 + len(metadata)
        message = Table.root(metadata)
        size, header = message.number(3, "q"), message.table(2)
        if size < 0 or start + size > len(body):
            raise ValueError(SHORT)
        if header is None or message.number(0, "h") < OLDEST:
            raise ValueError("it has a message of an old or unknown form")
        yield message.number(1, "B"), header, body[start : start + size]
        at = start + size
    raise ValueError(f"it has more than {MOST_MESSAGES} messages")


def _metadata(body: memoryview, at: int) -> memoryview | None:
    """What a message says of itself; None for the end of the stream."""
    if bytes(body[:6]) == FILE:
        raise ValueError("it is a file; send the streaming format")
    if bytes(body[at : at + 4]) != CONTINUATION:
        raise ValueError("there is no message where one should begin")
    if at + 8 > len(body):
        raise ValueError(SHORT)
    size = int.from_bytes(body[at + 4 : at + 8], "little", signed=True)
    if size < 0 or at + 8 + size > len(body):
        raise ValueError(SHORT)
    return body[at + 8 : at + 8 + size] if size else None


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (ValueError, struct.error) as error:
        why = BROKEN if isinstance(error, struct.error | UnicodeDecodeError) else str(error)
        raise BadRequest(f"the body is not a readable Arrow stream: {why}") from error
