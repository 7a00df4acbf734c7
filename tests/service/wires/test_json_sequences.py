from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import BadRequest
from service.manifest import Manifest
from service.pack import Array, Pack
from service.wires.document import Document
from service.wires.json_sequences import JsonSequences
from service.wires.validation import Limits, admit
from tests.service.fakes import EVENTS, LIMITS, MANIFESTS, manifest

VECTORS, IDS = MANIFESTS["vectors"], MANIFESTS["ids"]

NUMBERS = st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False)
ROWS = st.lists(st.lists(NUMBERS, min_size=2, max_size=2), min_size=1, max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


def pack(body: bytes | str, of: Manifest = VECTORS, limits: Limits = LIMITS) -> Pack:
    document = Document(body.encode() if isinstance(body, str) else body, limits.json_depth)
    return admit(JsonSequences(document, of, limits), of, limits)


def read(body: bytes | str, of: Manifest = VECTORS, limits: Limits = LIMITS) -> list[Array]:
    found = pack(body, of, limits)
    return found.split(found.columns["x"])


@given(st.lists(ROWS, min_size=1, max_size=5))
def test_vectors_come_through_exactly(sequences: list[list[list[float]]]) -> None:
    found = read(json.dumps({"sequences": sequences}))
    for array, sequence in zip(found, sequences, strict=True):
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, np.array(sequence, np.float32))


def test_ids_come_through_and_sequences_may_be_empty() -> None:
    found = read('{"sequences": [[1, 9], [], [5]]}', IDS)
    assert [a.tolist() for a in found] == [[1, 9], [], [5]]
    assert {a.dtype for a in found} == {np.dtype(np.int64)}


def test_an_empty_sequence_of_vectors_has_their_width() -> None:
    assert read('{"sequences": [[]]}', manifest("m", width=2))[0].shape == (0, 2)


def test_booleans_are_numbers() -> None:
    assert read('{"sequences": [[[true, 2]]]}')[0].tolist() == [[1, 2]]
    assert read('{"sequences": [[true]]}', IDS)[0].tolist() == [1]


BAD_VECTORS = {
    "": "not valid JSON",
    "{": "not valid JSON",
    "[]": "must be an object, not a list",
    "{}": "missing field 'sequences'",
    '{"sequences": [[[1, 2]]], "extra": 1}': "unknown field 'extra'",
    '{"sequences": [[[1, 2]]], "sequences": 1}': "a field is given twice",
    '{"\\u0000": 1}': "a field's name has a NUL in it",
    '{"sequences": [{"x": [[1, 2]], "x\\u0000y": 1}]}': "a field's name has a NUL in it",
    '{"sequences": 5}': "sequences: must be a list of sequences, not an integer",
    '{"sequences": null}': "not null",
    '{"sequences": []}': "no sequence is given",
    '{"sequences": [[[1, 2]], 7]}': r"x\[1\]: must be a list of tokens, not an integer",
    '{"sequences": [[[1, 2], 7]]}': r"x\[0\]\[1\]: must be a list of 2 numbers, not an integer",
    '{"sequences": [[[1, 2, 3]]]}': r"x\[0\]\[0\]: 3 numbers, the width is 2",
    '{"sequences": [[[1, 2], [1]]]}': r"x\[0\]\[1\]: 1 numbers, the width is 2",
    '{"sequences": [[[1], [2]]]}': r"x\[0\]\[0\]: 1 numbers, the width is 2",
    '{"sequences": [[[], []]]}': r"x\[0\]\[0\]: 0 numbers, the width is 2",
    '{"sequences": [[[1, "2"]]]}': r"x\[0\]\[0\]\[1\]: must be a number, not a string",
    '{"sequences": [[[1, null]]]}': r"x\[0\]\[0\]\[1\]: must be a finite float32 number",
    '{"sequences": [[[1, [2]]]]}': r"x\[0\]\[0\]\[1\]: must be a number, not a list",
    '{"sequences": [[[[3, 4], []]]]}': r"x\[0\]\[0\]\[0\]: must be a number, not a list",
    '{"sequences": [[[1, {"a": 2}]]]}': "not an object",
    '{"sequences": [[null]]}': r"x\[0\]\[0\]: must be a list of 2 numbers, not null",
    '{"sequences": [[[1, NaN]]]}': r"not valid JSON: .* line 1 column 21",
    '{"sequences": [[[1, Infinity]]]}': "not valid JSON",
    '{"sequences": [[[1, 1e39]]]}': r"x\[0\]\[0\]\[1\]: must be a finite float32 number",
    '{"sequences": [[[1, 1e999]]]}': "not valid JSON",
    '{"sequences": [[]]}': r"sequence 0: 0 tokens, the minimum is 1",
    '{"sequences": [{"x": [[1, 2]]}, [[1, 2]]]}': r"sequences\[1\]: must be an object, not a list",
    '{"sequences": [{"y": [[1, 2]]}]}': "unknown column 'y'; this model reads x",
    json.dumps({"sequences": [[[0, 0]] * 51]}): r"sequence 0: 51 tokens, the maximum is 50",
    json.dumps({"sequences": [[[0, 0]] * 40] * 3}): "120 tokens, the limit is 100",
}

BAD_IDS = {
    '{"sequences": [[1, 0]]}': r"x\[0\]\[1\]: id 0 is outside 1..9",
    '{"sequences": [[], [10]]}': r"x\[1\]\[0\]: id 10 is outside 1..9",
    '{"sequences": [[1.5]]}': "must be an integer id, not a float",
    '{"sequences": [["1"]]}': "must be an integer id, not a string",
    '{"sequences": [[1, null]]}': r"x\[0\]\[1\]: must be an integer id, not null",
    '{"sequences": [[[1]]]}': r"x\[0\]\[0\]: must be an integer id, not a list",
    '{"sequences": [[18446744073709551615]]}': r"id 18446744073709551615 is above 2\^63",
    '{"sequences": [[99999999999999999999999]]}': "needs more than 64 bits",
    json.dumps({"sequences": [[]] * 51}): "51 sequences, the limit is 50",
}


@pytest.mark.parametrize("body", BAD_VECTORS)
def test_bad_vectors_are_refused_by_column_and_place(body: str) -> None:
    with pytest.raises(BadRequest, match=BAD_VECTORS[body]):
        read(body)


@pytest.mark.parametrize("body", BAD_IDS)
def test_bad_ids_are_refused_by_column_and_place(body: str) -> None:
    with pytest.raises(BadRequest, match=BAD_IDS[body]):
        read(body, IDS)


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"sequences":' * 50_000, b'"\xff\xfe"', b"\x00", b"\xef\xbb\xbf{}"]
)
def test_hostile_bytes_are_a_bad_request(body: bytes) -> None:
    with pytest.raises(BadRequest):
        read(body)


@given(JSON, st.sampled_from([VECTORS, IDS, EVENTS]))
def test_any_json_is_read_or_refused(value: object, of: Manifest) -> None:
    for body in (value, {"sequences": value}, {"sequences": [value]}, {"sequences": [[value]]}):
        try:
            found = pack(json.dumps(body), of)
        except BadRequest:
            continue
        assert all(np.isfinite(a).all() for a in found.columns.values())


@given(st.data())
def test_what_is_copied_is_what_is_read_one_by_one(data: st.DataObject) -> None:
    """A bracket in a string makes the lists uncountable, and all values looked at."""
    sequences = data.draw(st.lists(ROWS, min_size=1, max_size=4))
    named = {"sequences": [{"x": rows} for rows in sequences]}
    body = json.dumps(named)
    document = Document(body.encode(), 16)
    document.lists += 1
    slow = admit(JsonSequences(document, VECTORS, LIMITS), VECTORS, LIMITS)
    np.testing.assert_array_equal(slow.columns["x"], pack(body).columns["x"])


def test_a_mask_takes_padding_out_whatever_it_holds() -> None:
    body = {
        "sequences": [[1, 9, 99, None], [7, 5, 5, -1]],
        "mask": [[1, 1, 0, 0], [True, 0, 1, False]],
    }
    assert [array.tolist() for array in read(json.dumps(body), IDS)] == [[1, 9], [7, 5]]
    vectors = {"sequences": [[[1, 2], [], None]], "mask": [[1, 0, 0]]}
    assert read(json.dumps(vectors))[0].tolist() == [[1, 2]]


@given(st.lists(st.tuples(ROWS, st.integers(0, 5)), min_size=1, max_size=5))
def test_padded_vectors_with_a_mask_are_the_unpadded_ones(drawn: list[tuple]) -> None:  # type: ignore[type-arg]
    padded = [rows + [[0.0, 0.0]] * more for rows, more in drawn]
    mask = [[1] * len(rows) + [0] * more for rows, more in drawn]
    found = read(json.dumps({"sequences": padded, "mask": mask}))
    wanted = read(json.dumps({"sequences": [rows for rows, _ in drawn]}))
    for array, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(array, other)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ("[[1, 1]]", r"mask: 1 rows for 2 sequences"),
        ("5", r"mask: must be a list of sequences, not an integer"),
        ("[[1, 1], [1]]", r"mask\[1\]: 1 values for 2 tokens"),
        ("[[1, 1], 3]", r"mask\[1\]: must be a list of 0 and 1, not an integer"),
        ("[[1, 1], [1, 2]]", r"mask\[1\]\[1\]: must be 0 or 1"),
        ('[[1, 1], [1, "x"]]', r"mask\[1\]\[1\]: must be 0 or 1"),
        ("[[1, 1], [1, 1]]", r"x\[1\]\[1\]: id 99 is outside 1..9"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused_by_place(mask: str, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        read(f'{{"sequences": [[1, 9], [7, 99]], "mask": {mask}}}', IDS)


def test_lengths_are_those_without_padding() -> None:
    body = json.dumps({"sequences": [[1] * 50, [2] * 50], "mask": [[1] + [0] * 49] * 2})
    assert [len(array) for array in read(body, IDS, Limits(25, 2))] == [1, 1]
    with pytest.raises(BadRequest, match="100 places with and without tokens, the limit is 96"):
        read(body, IDS, Limits(24, 2))
