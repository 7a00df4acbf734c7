"""Metadata that no library writes: shared tables, and claims of more than there is."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from service.errors import BadRequest
from service.manifest import IdsColumn, NumericColumn
from service.wires import arrow_stream
from service.wires.arrow_array import ArrowArray
from service.wires.validation import Limits
from tests.service.fakes import manifest
from tests.service.wires.arrow import from_arrow
from tests.service.wires.test_arrow_claims import cheaply

NULL, TEXT, LIST, STRUCT, FIXED, VIEW = 1, 5, 12, 13, 16, 24  # numbers of types in Schema.fbs
SCHEMA, DICTIONARY, BATCH = 1, 2, 3
LIMITS = Limits(tokens=1_000_000, sequences=65_536)
NUMBERS = manifest("m").model_copy(update={"columns": (NumericColumn(name="x", missing=True),)})
WORDS = manifest("m").model_copy(
    update={"columns": (IdsColumn(name="x", low=0, high=0, labels=("a",), unknown=True),)}
)


@dataclass(eq=False, slots=True)
class Node:
    """A table: fields by number; a vector of nodes, or of so many elements that lie in bytes.

    A node that several refer to is written once.
    """

    data: Mapping[int, Node | tuple[str, int]] | list[Node] | tuple[int, bytes]


def bytes_of(node: Node, at: int, places: Mapping[Node, int]) -> tuple[bytes, int]:
    """The node as it lies from a place on, and how far from there others refer to it."""
    if isinstance(node.data, Mapping):
        fields, head, rest = node.data, 4 + 2 * (1 + max(node.data, default=-1)), b""
        offsets: dict[int, int] = {}
        for i, value in fields.items():
            offsets[i] = 4 + len(rest)
            here = at + head + offsets[i]
            if isinstance(value, Node):
                value = "I", places.get(value, here) - here
            rest += struct.pack(f"<{value[0]}", value[1])
        slots = [offsets.get(i, 0) for i in range(head // 2 - 2)]
        vtable = struct.pack(f"<{head // 2}H", head, 4 + len(rest), *slots)
        return vtable + struct.pack("<i", head) + rest, head
    if isinstance(node.data, tuple):
        return struct.pack("<I", node.data[0]) + node.data[1], 0
    starts = range(at + 4, at + 4 + 4 * len(node.data), 4)
    refs = [places.get(own, i) - i for own, i in zip(node.data, starts, strict=True)]
    return struct.pack(f"<I{len(refs)}I", len(refs), *refs), 0


def ordered(root: Node) -> list[Node]:
    """All nodes, each after those that refer to it."""
    seen = set[Node]()

    def after(node: Node) -> Iterator[Node]:
        seen.add(node)
        own = node.data.values() if isinstance(node.data, Mapping) else node.data
        for child in own:
            if isinstance(child, Node) and child not in seen:
                yield from after(child)
        yield node

    return list(after(root))[::-1]


def message(kind: int, header: Node, data: bytes = b"") -> bytes:
    """A message of a stream."""
    root = Node({0: ("h", 4), 1: ("B", kind), 2: header, 3: ("q", len(data))})
    nodes, places, at = ordered(root), dict[Node, int](), 4
    for node in nodes:
        raw, reach = bytes_of(node, at, {})
        places[node], at = at + reach, at + len(raw)
    whole = struct.pack("<I", places[root])
    for node in nodes:
        whole += bytes_of(node, len(whole), places)[0]
    return b"\xff\xff\xff\xff" + struct.pack("<i", len(whole)) + whole + data


def name(own: bytes) -> Node:
    return Node((len(own), own))


def field(kind: int, *children: Node, **more: Any) -> Node:
    """A field, by default called x; children: tables, which may come many times."""
    own = {
        0: more.get("name", name(b"x")),
        2: ("B", kind),
        3: Node({0: ("i", more.get("size", 0))}),
    }
    if "code" in more:
        own[4] = Node({0: ("q", more["code"])})
    return Node({**own, 5: more.get("vector") or Node([*children])})


def schema(*fields: Node, vector: Node | None = None) -> bytes:
    return message(SCHEMA, Node({1: vector or Node([*fields])}))


def rows_of(values: Sequence[Sequence[int]], width: int) -> Node:
    raw = b"".join(struct.pack(f"<{width}q", *own) for own in values)
    return Node((len(values), raw))


def header(rows: int, nodes: Any, buffers: Any, views: Sequence[int] = ()) -> Node:
    vectors = {1: rows_of(nodes, 2), 2: rows_of(buffers, 2), 4: rows_of([(n,) for n in views], 1)}
    return Node({0: ("q", rows), **vectors})


def batch(rows: int, nodes: Any, buffers: Any, data: bytes = b"", **more: Any) -> bytes:
    return message(BATCH, header(rows, nodes, buffers, **more), data)


def said(body: bytes, of: Any = NUMBERS, columns: int = 512) -> str:
    """What is wrong with a stream; it takes little time and memory to say it."""
    with cheaply(), pytest.raises(BadRequest) as error:
        from_arrow(body, of, LIMITS, columns)
    assert len(str(error.value)) < 300
    return str(error.value)


ONE = struct.pack("<ii", 0, 1)  # offsets of one list of one value


def test_a_stream_written_here_is_read() -> None:
    data = ONE + struct.pack("<ii", 0, 1) + b"a"
    body = schema(field(LIST, field(TEXT)))
    body += batch(1, [(1, 0), (1, 0)], [(0, 0), (0, 8), (0, 0), (8, 8), (16, 1)], data)
    assert from_arrow(body, WORDS, LIMITS).columns["x"].tolist() == [0]


@pytest.mark.parametrize("length", [1, 20_000])
def test_shared_fields_do_not_unfold_without_end(length: int) -> None:
    leaf = field(NULL, name=name(b"a" * length))
    middle = field(STRUCT, *[leaf] * 250)
    assert "too deep or too large" in said(schema(field(STRUCT, *[middle] * 250)))
    deep = leaf
    for _ in range(20):
        deep = field(STRUCT, deep, deep)
    assert "too deep or too large" in said(schema(deep))


def test_a_long_name_is_refused_however_many_columns_share_it() -> None:
    own = field(NULL, name=name(b"a" * 20_000))
    assert "a name has 20000 bytes, the limit is 256" in said(schema(*[own] * 500))


def test_fields_that_are_only_claimed_are_not_made() -> None:
    claimed = Node((4_000_000, bytes(16_000_000)))
    assert said(schema(vector=claimed)) == "4000000 columns, the limit is 512"
    said(schema(field(STRUCT, vector=claimed)))
    assert "does not hold together" in said(schema(vector=Node((2**32 - 1, b""))))


BUFFERS = [(0, 0), (0, 8), (0, 0), (8, 16)]
VIEWS = schema(field(LIST, field(VIEW)))


@pytest.mark.parametrize(
    ("claim", "why"),
    [
        (-1, "an array has less than no buffer"),
        (-(2**63), "an array has less than no buffer"),
        (2**63 - 1, "a batch lacks some of its schema's columns"),
        (1, "a batch lacks some of its schema's columns"),
    ],
)
def test_a_count_of_buffers_that_is_not_true_is_refused(claim: int, why: str) -> None:
    nodes = [(1, 0), (1, 0)]
    assert why in said(VIEWS + batch(1, nodes, BUFFERS, ONE + bytes(16), views=[claim]), WORDS)


def test_buffers_without_end_are_not_made() -> None:
    buffers = [*BUFFERS, *[(0, 0)] * 300_000]
    body = VIEWS + batch(1, [(1, 0), (1, 0)], buffers, ONE + bytes(16), views=[300_000])
    assert "more than 65536 arrays and buffers" in said(body, WORDS)


def test_arrays_of_many_batches_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0

    def count(*fields: Any) -> ArrowArray:
        nonlocal made
        made += 1
        return ArrowArray(*fields)

    monkeypatch.setattr(arrow_stream, "ArrowArray", count)
    many = [field(NULL)] * 4000
    own = batch(1, [(1, 0), (1, 0), *[(1, 0)] * 4000], [(0, 0), (0, 8), (0, 0)], ONE)
    body = schema(field(LIST, field(STRUCT, *many))) + own * 100
    assert "more than 65536 arrays and buffers" in said(body)
    assert made <= 65_536


def test_buffers_that_overlap_are_refused() -> None:
    body = schema(field(LIST, field(TEXT)))
    buffers = [(0, 0), (0, 8), (0, 0), (0, 8), (0, 8)]
    body += batch(1, [(1, 0), (1, 0)], buffers, struct.pack("<ii", 0, 1))
    assert "its buffers overlap" in said(body, WORDS)


@pytest.mark.parametrize("rows", [2**62, 2**63 - 1, -1, -(2**63)])
def test_rows_that_are_only_claimed_are_not_made(rows: int) -> None:
    body = schema(field(FIXED, field(NULL), size=1))
    body += batch(rows, [(8, 0), (8, 0)], [(0, 0)])
    wanted = "a batch has less than no row" if rows < 0 else f"{rows} sequences, the limit is 65536"
    assert wanted in said(body)


def coded(words: int, batches: int) -> bytes:
    """Dictionaries of empty words, and batches of which each has a code of the last one."""
    data = bytes(4 * words + 4)
    own = header(words, [(words, 0)], [(0, 0), (0, len(data)), (0, 0)])
    found = schema(field(LIST, field(TEXT, code=7)))
    found += message(DICTIONARY, Node({0: ("q", 7), 1: own}), data)
    buffers = [(0, 0), (0, 8), (0, 0), (8, 4)]
    return found + batch(1, [(1, 0), (1, 0)], buffers, ONE + bytes(4)) * batches


def test_a_dictionary_is_unpacked_once_for_all_batches() -> None:
    with cheaply():
        assert from_arrow(coded(100_000, 400), WORDS, LIMITS).columns["x"].tolist() == [1] * 400


def test_dictionaries_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_stream, "MOST_WORDS", 10)
    assert len(from_arrow(coded(10, 1), WORDS, LIMITS).lengths) == 1
    assert "dictionaries have more than 10 values" in said(coded(11, 1), WORDS)
