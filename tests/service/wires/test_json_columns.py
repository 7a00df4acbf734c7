"""JSON of several columns: each sequence is an object with a list per column, and its context."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import numpy as np
import pytest

from service.errors import BadRequest
from tests.service.fakes import EVENTS
from tests.service.wires.oip import floats
from tests.service.wires.test_json_sequences import pack

GOOD: dict[str, Any] = {
    "amount": [1.5, None, 3],
    "kind": ["buy", "hold", "gone"],
    "code": [-1, 0, 1],
    "time": [1e9, 1e9 + 0.25, 1e9 + 1],
    "where": [[1, 2], [3, 4], [5, 6]],
    "age": 41,
    "land": "pt",
    "home": [0.5, -0.5],
}


def changed(**columns: Any) -> str:
    row = deepcopy(GOOD) | columns
    rows = [deepcopy(GOOD), {name: value for name, value in row.items() if value is not ...}]
    return json.dumps({"sequences": rows})


def test_every_kind_of_column_comes_through() -> None:
    found = pack(changed(amount=[7, 8, 9], age=12.5), EVENTS)
    assert found.lengths.tolist() == [3, 3]
    np.testing.assert_array_equal(found.columns["amount"], floats([1.5, np.nan, 3, 7, 8, 9]))
    assert found.columns["kind"].tolist() == [0, 2, 3] * 2  # 3 is no id: unknown
    assert found.columns["code"].tolist() == [-1, 0, 1] * 2
    np.testing.assert_array_equal(found.columns["time"][:3], GOOD["time"])
    assert found.columns["where"].shape == (6, 2)
    np.testing.assert_array_equal(found.context["age"], floats([41, 12.5]))
    assert found.context["land"].tolist() == [1, 1]
    np.testing.assert_array_equal(found.context["home"], floats([[0.5, -0.5]] * 2))
    dtypes = {name: values.dtype for name, values in found.columns.items()}
    assert dtypes == {c.name: np.dtype(c.dtype) for c in EVENTS.columns}


BAD: dict[str, dict[str, Any]] = {
    "sequence 1: kind has 2 tokens, amount has 3": {"kind": [0, 1]},
    r"kind\[1\]: must be a list of tokens, not a string": {"kind": "buy"},
    "sequence 1: code has 2 tokens, amount has 3": {"code": [0, 1], "time": None},
    r"amount\[1\]\[2\]: must be a number, not a string": {"amount": [1, 2, "3"]},
    r"amount\[1\]\[0\]: must be a number, not a list": {"amount": [[1], [2], [3]]},
    r"code\[1\]\[1\]: id 2 is outside -1..1": {"code": [0, 2, 0]},
    r"code\[1\]\[1\]: must be an integer id, not null": {"code": [0, None, 0]},
    "kind: integers and strings in one column": {"kind": [0, "buy", 1]},
    r"time\[1\]\[0\]: must be a finite float64 number": {"time": [None, 0, 0]},
    r"where\[1\]\[2\]: 3 numbers, the width is 2": {"where": [[1, 2], [3, 4], [5, 6, 7]]},
    r"age\[1\]: must be a finite float32 number": {"age": None},
    r"age\[1\]: must be a number, not a list": {"age": [41]},
    r"land\[1\]: 'xx' is none of its labels": {"land": "xx"},
    r"home\[1\]: 1 numbers, the width is 2": {"home": [1]},
    r"home\[1\]: must be a list of 2 numbers, not an integer": {"home": 3},
    r"sequences\[1\]: column 'age' is missing": {"age": ...},
    r"sequences\[1\]: unknown field 'extra'": {"extra": 1},
}


@pytest.mark.parametrize("message", BAD)
def test_what_does_not_fit_is_refused_by_column_and_place(message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        pack(changed(**BAD[message]), EVENTS)


def test_a_missing_column_is_named() -> None:
    row = {name: value for name, value in GOOD.items() if name != "time"}
    with pytest.raises(BadRequest, match="column 'time' is missing"):
        pack(json.dumps({"sequences": [row]}), EVENTS)


def test_lists_without_names_are_refused_with_what_is_wanted() -> None:
    with pytest.raises(BadRequest, match=r'must be an object \{"amount": \.\.\., "kind"'):
        pack('{"sequences": [[1, 2]]}', EVENTS)


def test_a_mask_counts_for_all_columns() -> None:
    rows = [deepcopy(GOOD)]
    rows[0]["where"][1] = None
    found = pack(json.dumps({"sequences": rows, "mask": [[1, 0, 1]]}), EVENTS)
    assert found.lengths.tolist() == [2]
    np.testing.assert_array_equal(found.columns["amount"], floats([1.5, 3]))
    np.testing.assert_array_equal(found.columns["where"], floats([[1, 2], [5, 6]]))
