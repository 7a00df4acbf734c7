from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.pack import Array, Pack
from service.session import Session
from service.tables import grouped
from tests.service.tables.table import (
    COLUMNS,
    answered,
    assert_answers,
    column,
    pack,
    predict,
)

KEYS = ("ann", "bo", "cy", "dee", "eve")
COUNTS = (4, 1, 30, 2, 9)
BY = ("--group-by", "who", "--order-by", "when")


def long_table(keys: Any = KEYS) -> tuple[pa.Table, Pack]:
    """A shuffled row per token, many with the same time, and the sequences in it by hand."""
    own = pack(COUNTS)
    rng = np.random.default_rng(1)
    order = rng.permutation(own.tokens)
    owner = np.repeat(np.arange(len(COUNTS)), COUNTS)[order]
    tokens = {name: values[order] for name, values in own.columns.items()}
    tokens["when"] = (tokens["when"] // 20).astype(np.float64)  # ties
    context: dict[str, Array] = {
        "v": rng.normal(size=(own.tokens, 2)).astype(np.float32),
        "g": rng.integers(0, 4, own.tokens),
    }
    everything = {**tokens, **context}
    frame = pa.table(
        {"who": pa.array(keys).take(owner)} | {n: column(v) for n, v in everything.items()}
    )
    rows = [
        sorted(np.flatnonzero(owner == key), key=lambda row: tokens["when"][row])
        for key in range(len(COUNTS))
    ]
    every, heads = np.concatenate(rows), np.array([own_rows[0] for own_rows in rows])
    columns = {name: tokens[name][every] for name in COLUMNS}
    return frame, Pack(columns, np.array(COUNTS), {n: v[heads] for n, v in context.items()})


@pytest.mark.parametrize("most", [1, 8, 10**6])
def test_keys_become_sequences_in_order_of_time(
    most: int, folder: Path, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grouped, "BATCH_TOKENS", most)
    frame, wanted = long_table()
    found = answered(folder, frame, tmp_path, *BY)
    assert found.column_names[:2] == ["who", "a"]
    assert found["who"].to_pylist() == list(KEYS)
    assert_answers(found, session, wanted)


def test_keys_may_be_numbers_or_words_of_a_dictionary(
    folder: Path, session: Session, tmp_path: Path
) -> None:
    for keys in (range(-2, 3), pa.array(KEYS).dictionary_encode()):
        frame, wanted = long_table(keys)
        assert_answers(answered(folder, frame, tmp_path, *BY), session, wanted)


def test_without_a_time_tokens_stay_in_the_order_of_the_file(
    folder: Path, session: Session, tmp_path: Path
) -> None:
    frame, wanted = long_table()
    ordered = frame.take(pa.compute.sort_indices(frame, [("when", "ascending")]))
    found = answered(folder, ordered, tmp_path, "--group-by", "who")
    assert_answers(found, session, wanted)


def test_kept_columns_are_those_of_a_keys_first_row(folder: Path, tmp_path: Path) -> None:
    frame, wanted = long_table()
    found = answered(folder, frame, tmp_path, *BY, "--keep", "g", "who")
    assert found.column_names[:2] == ["who", "g"]
    assert found["g"].to_pylist() == wanted.context["g"].tolist()


def test_no_row_has_no_key(folder: Path, tmp_path: Path) -> None:
    frame, _ = long_table()
    found = answered(folder, frame[:0], tmp_path, *BY)
    assert (found.num_rows, found.column_names[0]) == (0, "who")


@pytest.mark.parametrize(("name", "value"), [("who", None), ("when", None), ("when", float("nan"))])
def test_a_row_without_key_or_time_is_named(
    name: str, value: Any, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame, _ = long_table()
    values = frame[name].to_pylist()
    values[17] = value
    frame = frame.set_column(frame.column_names.index(name), name, pa.array(values))
    pq.write_table(frame, tmp_path / "in.parquet")
    assert predict(folder, tmp_path / "in.parquet", tmp_path / "out.parquet", *BY) == 1
    assert f"row 17, column '{name}': null" in capsys.readouterr().err


def test_a_bad_sequence_is_named_by_its_key(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame, _ = long_table()
    row = frame["who"].to_pylist().index("dee")
    kinds = frame["kind"].to_pylist()
    kinds[row] = None
    frame = frame.set_column(frame.column_names.index("kind"), "kind", pa.array(kinds))
    places = frame["place"].to_pylist()
    places[row] = [1, float("inf")]
    at = frame.column_names.index("place")
    frame = frame.set_column(at, "place", pa.array(places, frame["place"].type))
    pq.write_table(frame, tmp_path / "in.parquet")
    assert predict(folder, tmp_path / "in.parquet", tmp_path / "out.parquet", *BY) == 1
    assert "who 'dee': place[0][" in capsys.readouterr().err
