from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import BadRequest, ServiceError, TooLarge
from service.manifest import Manifest
from service.pack import Pack
from service.wires import exchange
from service.wires.arrow_pieces import MOST_EMPTY, ArrowPieces
from service.wires.validation import Limits
from tests.service.fakes import manifest
from tests.service.wires.arrow import EVERY, ROWS, TYPES
from tests.service.wires.test_json_pieces import PIECES, PLACES, split, tokens

LIMITS = Limits(tokens=100_000, sequences=1000)
IDS = manifest("ids", ids=(1, 9), lengths=(2, 3))
KIND = pa.schema([pa.field("x", pa.list_(pa.int16()))])


def reader(own: Manifest = IDS, limits: Limits = LIMITS, most_bytes: int = 10**6) -> ArrowPieces:
    return ArrowPieces(exchange.READERS[exchange.ARROW], own, limits, most_bytes)


def read(parts: list[bytes], own: ArrowPieces | None = None) -> list[Pack]:
    own = own or reader()
    found = [pack for part in parts for pack in own.read(own.cut(part, last=False))]
    found += own.read(own.cut(b"", last=True))
    if not found:
        own.check_empty()
    return found


def stream(batches: Sequence[list[Any]], schema: pa.Schema = KIND) -> bytes:
    """A batch of these rows each; rows are lists, or objects of columns."""
    written = io.BytesIO()
    with pa.ipc.new_stream(written, schema) as writer:
        for rows in batches:
            objects = [row if isinstance(row, dict) else {"x": row} for row in rows]
            writer.write_batch(pa.RecordBatch.from_pylist(objects, schema=schema))
    return written.getvalue()


@settings(deadline=None)
@given(st.lists(PIECES, max_size=5), st.lists(st.integers(0, 3000), max_size=30))
def test_pieces_are_the_same_wherever_the_bytes_are_cut(
    batches: list[list[list[int]]], places: list[int]
) -> None:
    packs = read(split(stream(batches), places))
    pieces = list(chain.from_iterable(batches))
    assert tokens(packs).tolist() == list(chain.from_iterable(pieces))
    assert [n for pack in packs for n in pack.lengths] == list(map(len, pieces))


@settings(deadline=None)
@given(st.data(), PLACES)
def test_whatever_comes_is_refused_or_read_alike_wherever_it_is_cut(
    data: st.DataObject, places: list[int]
) -> None:
    body = bytearray(stream([[[1, 2]], [[3], [4]]]))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    del body[data.draw(st.integers(1, len(body))) :]

    def said(parts: list[bytes]) -> object:
        try:
            return tokens(read(parts)).tolist()
        except ServiceError as error:
            return str(error)

    assert said(split(bytes(body), places)) == said([bytes(body)])


def test_byte_by_byte_with_every_kind_of_column_and_dictionaries() -> None:
    kinds = {**TYPES, "k": pa.list_(pa.dictionary(pa.int8(), pa.string()))}
    schema = pa.schema(list(kinds.items()))
    body = stream([ROWS[:1], ROWS[1:], ROWS[:1]], schema)  # its dictionary is replaced twice
    whole, bytewise = read([body], reader(EVERY)), read(split(body, [*range(10**4)]), reader(EVERY))
    for name in ("x", "a", "k", "t"):
        wanted = np.concatenate([pack.columns[name] for pack in whole])
        np.testing.assert_array_equal(
            np.concatenate([pack.columns[name] for pack in bytewise]), wanted
        )
    assert sum(len(pack.lengths) for pack in whole) == len(ROWS) + 1
    assert np.concatenate([p.columns["k"] for p in whole]).tolist() == [1, 3, 2, 1, 3]


def test_dictionaries_are_known_to_batches_that_are_read_later() -> None:
    kinds = {**TYPES, "k": pa.list_(pa.dictionary(pa.int8(), pa.string()))}
    body = stream([ROWS[:1]] * 2000, pa.schema(list(kinds.items())))
    own, groups = reader(EVERY, Limits(10**6, 10**6)), 0
    for part in (body, b""):
        units = own.cut(part, last=not part)
        for unit in units:  # as if each came alone
            (pack,) = own.read([unit])
            assert pack.columns["k"].tolist() == [1, 3]
            groups += 1
    assert groups == 2000


def test_a_bad_batch_is_named_among_good_ones() -> None:
    body = stream([[[1]], [], [[2], [3, 77]], [[4]]])
    with pytest.raises(BadRequest, match=r"record batch 3: x\[1\]\[1\]: id 77 is outside 1..9"):
        read([body])


@pytest.mark.parametrize("cut", [1, 3, 8, 100, 500])
def test_a_stream_that_is_cut_short_is_refused(cut: int) -> None:
    body = stream([[[1]]])[:-8]  # without its end it is whole all the same
    assert tokens(read([body])).tolist() == [1]
    with pytest.raises(BadRequest, match=r"not a readable Arrow stream: it is cut short|schema"):
        read([body[: len(body) - cut]])


def test_what_follows_the_end_is_refused() -> None:
    with pytest.raises(BadRequest, match="it goes on after its end"):
        read([stream([[[1]]]), b"more"])


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "it does not start with a schema"),
        (b"nonsense" * 9, "there is no message where one should begin"),
        (b"ARROW1\0\0" * 9, "it is a file; send the streaming format"),
        (b"\xff" * 16, "it is cut short"),
        (stream([], pa.schema([pa.field("y", pa.list_(pa.int8()))])), "unknown column 'y'"),
    ],
)
def test_what_is_no_stream_of_the_model_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        read([body])


def claiming(size: int) -> bytes:
    """A batch that says it has so many bytes."""
    body = stream([[[1] * 50]])
    (length,) = {n for n in range(64, len(body), 8) if body.count(struct.pack("<q", n)) == 1} & {
        pa.ipc.read_message(pa.py_buffer(body[_second(body) :])).body.size
    }
    return body.replace(struct.pack("<q", length), struct.pack("<q", size))


def _second(body: bytes) -> int:
    return 8 + int(struct.unpack_from("<i", body, 4)[0])


@pytest.mark.parametrize("size", [10**6, 2**40, 2**62])
def test_a_batch_that_claims_too_much_is_not_waited_for(size: int) -> None:
    with pytest.raises(TooLarge, match="record batch 1 is larger than the limit of 5000 bytes"):
        read([claiming(size), *[bytes(100)] * 100], reader(most_bytes=5000))


def test_a_batch_that_claims_less_than_nothing_is_refused() -> None:
    with pytest.raises(BadRequest, match="not a readable Arrow stream"):
        reader().cut(claiming(-8), last=False)


def test_dictionaries_without_end_are_refused() -> None:
    kinds = {**TYPES, "k": pa.list_(pa.dictionary(pa.int16(), pa.string()))}
    words = [f"word {i}" for i in range(3000)]
    row = {**ROWS[1], "k": words, "x": [[1, 2]] * 3000, "a": [1] * 3000, "t": [1] * 3000}
    body = stream([[row]], pa.schema(list(kinds.items())))
    with pytest.raises(ServiceError, match="larger than the limit of 40000 bytes"):
        read([body], reader(EVERY, most_bytes=40_000))


def test_limits_are_of_each_batch_however_many_are_read_together() -> None:
    own = reader(limits=Limits(tokens=4, sequences=1))
    assert tokens(read([stream([[[1, 2, 3, 4]]] * 9)], own)).tolist() == [1, 2, 3, 4] * 9
    with pytest.raises(BadRequest, match="record batch 2: 5 tokens, the limit is 4 per record"):
        read([stream([[[1]], [[1, 2, 3, 4, 5]]])], reader(limits=Limits(tokens=4, sequences=1)))


def test_batches_without_rows_are_bounded() -> None:
    with pytest.raises(BadRequest, match=f"more than {MOST_EMPTY} batches without rows"):
        read([stream([[] for _ in range(MOST_EMPTY + 1)])])


def test_what_is_kept_for_later_batches_is_held_but_is_no_batch_that_has_not_come() -> None:
    kinds = {**TYPES, "k": pa.list_(pa.dictionary(pa.int8(), pa.string()))}
    schema = pa.schema([pa.field(name, kind) for name, kind in kinds.items()])
    own, body = reader(EVERY), stream([ROWS, ROWS], schema)
    own.read(own.cut(body, last=False))
    assert own.uncut > 100
    own.read(own.cut(b"", last=True))
    assert (own.uncut, own.held > 100) == (0, True)
