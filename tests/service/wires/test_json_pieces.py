from __future__ import annotations

import json
import time
from collections.abc import Iterable
from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import BadRequest, ServiceError, TooLarge
from service.manifest import Manifest
from service.pack import Array, Pack
from service.wires import exchange
from service.wires.json_pieces import MOST_BLANK, JsonPieces, check_lines
from service.wires.pieces import GROUP_BYTES
from service.wires.validation import Limits
from tests.service.fakes import EVENTS, manifest

LIMITS = Limits(tokens=100_000, sequences=100_000)
IDS = manifest("ids", ids=(1, 9), lengths=(2, 3))  # bounds of the whole, not of a piece


def reader(own: Manifest = IDS, limits: Limits = LIMITS, most_bytes: int = 10**6) -> JsonPieces:
    return JsonPieces(exchange.READERS[exchange.JSON], own, limits, most_bytes)


def read(parts: Iterable[bytes], own: JsonPieces | None = None) -> list[Pack]:
    own = own or reader()
    found = [pack for part in parts for pack in own.read(own.cut(part, last=False))]
    return found + own.read(own.cut(b"", last=True))


def tokens(packs: list[Pack], name: str = "x") -> Array:
    return np.concatenate([np.zeros(0, np.int64), *(pack.columns[name] for pack in packs)])


def split(body: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({min(place, len(body)) for place in places} | {0, len(body)})
    return [body[a:b] for a, b in pairwise(ends)]


PIECES = st.lists(st.lists(st.integers(1, 9), max_size=9), max_size=20)
PLACES = st.lists(st.integers(0, 400), max_size=30)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\n\n", b" \n \t\n"])


@given(PIECES, PLACES, ENDS, st.booleans())
def test_pieces_are_the_same_wherever_the_bytes_are_cut(
    pieces: list[list[int]], places: list[int], end: bytes, closed: bool
) -> None:
    body = b"".join(json.dumps(piece).encode() + end for piece in pieces)
    body = body if closed else body.rstrip()
    packs = read(split(body, places))
    assert tokens(packs).tolist() == list(chain.from_iterable(pieces))
    assert [n for pack in packs for n in pack.lengths] == list(map(len, pieces))


@given(st.binary(max_size=200), PLACES)
def test_whatever_comes_is_refused_or_read_alike_wherever_it_is_cut(
    body: bytes, places: list[int]
) -> None:
    def said(parts: list[bytes]) -> object:
        try:
            return tokens(read(parts)).tolist()
        except ServiceError as error:
            return str(error)

    assert said(split(body, places)) == said([body])


BAD = {
    b"[1, 2": "line 3: its brackets do not match",
    b"1, 2]": "line 3: its brackets do not match",
    b'[1]], "mask": [[1]': "line 3: its brackets do not match",
    b"[1], [2]": "line 3: there is more than one value",
    b"[1], [2": "line 3: its brackets do not match",
    b",": "line 3: the body is not valid JSON",
    b"nonsense": "line 3: the body is not valid JSON",
    b'["a': "line 3: its brackets do not match",
    b"[1, 77]": r"line 3: x\[0\]\[1\]: id 77 is outside 1..9",
    b"[1, 2.5]": r"line 3: x\[0\]\[1\]: must be an integer id, not a float",
    b"7": r"line 3: x\[0\]: must be a list of tokens",
    b'{"y": [1]}': "line 3: unknown column 'y'; this model reads x",
    b'{"x": [1], "x": [2]}': r"line 3: sequences\[0\]: a field is given twice",
}


@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_a_bad_line_is_named_among_good_ones(bad: bytes) -> None:
    good = b'{"x": [2, 3]}\n' if bad.startswith(b"{") else b"[2, 3]\n"
    body = good + b"\n" + bad + b"\n" + good * 50
    with pytest.raises(BadRequest, match=BAD[bad]):
        read([body])
    with pytest.raises(BadRequest, match=BAD[bad]):
        read([body[i : i + 1] for i in range(len(body))])


def test_halves_of_a_value_do_not_make_a_whole() -> None:
    with pytest.raises(BadRequest, match="line 1: its brackets do not match"):
        read([b"[1, 2\n, 3]\n"])
    with pytest.raises(BadRequest, match="line 1: its brackets do not match"):
        read([b"[1], [2\n3]\n"])


@pytest.mark.parametrize("word", ["[", "]]", "{", '\\"[', "a\\\\", '\\\\\\"]'])
def test_brackets_in_words_are_no_brackets(word: str) -> None:
    check_lines(f'{{"kind": ["{word}"], "x": [1]}}\n[1]'.encode())


def test_words_without_end_are_looked_at_once() -> None:
    started = time.perf_counter()
    for body in (b'"' + b'\\"' * 2**20, b'"\\' * 2**19, b'"[' * 2**19):
        with pytest.raises(BadRequest):
            check_lines(b"[" + body)
    assert time.perf_counter() - started < 20  # quadratic would be hours


@pytest.mark.parametrize("step", [10, 1000, 100_000])
def test_a_line_without_end_is_not_waited_for(step: int) -> None:
    fed = iter([b"[1]\n[2]\n", *[b" " * step] * 10_000])
    with pytest.raises(TooLarge, match="line 3 is larger than the limit of 5000 bytes"):
        read(fed, reader(most_bytes=5000))
    assert len(list(fed)) >= 10_000 - 1 - 5000 // step


def test_a_long_line_is_refused_that_came_as_a_whole() -> None:
    with pytest.raises(TooLarge, match="line 2 is larger than the limit of 20 bytes"):
        read([b"[1]\n" + b" " * 21 + b"\n[1]\n"], reader(most_bytes=20))


def test_limits_are_of_each_line_however_many_are_read_together() -> None:
    own = reader(limits=Limits(tokens=4, sequences=1))
    assert tokens(read([b"[1,2,3,4]\n" * 9], own)).tolist() == [1, 2, 3, 4] * 9
    with pytest.raises(BadRequest, match="line 2: 5 tokens, the limit is 4 per line"):
        read([b"[1]\n[1,2,3,4,5]\n"], reader(limits=Limits(tokens=4, sequences=1)))


def test_few_bytes_wait_for_more() -> None:
    own = reader()
    assert own.cut(b"[1]\n" * 10, last=False) == []
    assert len(own.cut(b"[1]\n" * (GROUP_BYTES // 4), last=False)) == 10 + GROUP_BYTES // 4


def test_every_line_has_its_context() -> None:
    tokens_ = '"amount": [1], "kind": ["buy"], "code": [0], "time": [5], "where": [[1, 2]]'
    line = f'{{{tokens_}, "age": 3, "land": "pt", "home": [1, 2]}}\n'.encode()
    (pack,) = read([line * 3], reader(EVENTS))
    assert pack.context["age"].tolist() == [3, 3, 3]
    with pytest.raises(BadRequest, match="line 2: column 'age' is missing"):
        read([line, f"{{{tokens_}}}\n".encode()], reader(EVENTS))


def test_lines_are_all_lists_or_all_objects() -> None:
    with pytest.raises(BadRequest, match="line 2: must be a list, as those before are"):
        read([b'[1]\n{"x": [1]}\n'])
    with pytest.raises(BadRequest, match="line 3: must be an object, as those before are"):
        read([b'{"x": [1]}\n\n[1]\n'])


def test_blank_lines_are_bounded() -> None:
    own = reader()
    own.cut(b"\n" * MOST_BLANK, last=False)
    with pytest.raises(BadRequest, match="more than 65536 blank lines"):
        own.cut(b"\n" * 2**16, last=True)
