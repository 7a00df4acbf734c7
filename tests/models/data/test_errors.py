from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from models.data.dataset import load_dataset
from models.data.spec import DataError
from tests.models.data.parquet import TOML, column, rows, splits, told, write

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a missing column": ({"age": None}, r"no column 'age'; there are amt, category, when, x,"),
    "a null sequence": ({"amt": [[0], None, [0] * 3, [0]]}, "row 1, column 'amt': null; a seq"),
    "unequal lengths": (
        {"category": [["a"], ["b"], ["c"] * 3, ["d"]]},
        "row 1, column 'category': 1 values, but 'amt' has 2",
    ),
    "ragged vectors": (
        {"x": [[[0, 1]], [[0, 1], [1]], [[0, 1]] * 3, [[0, 1]]]},
        "row 1, column 'x': a vector of 1 numbers, others have 2",
    ),
    "a null vector": (
        {"x": [[[0, 1]], [[0, 1], None], [[0, 1]] * 3, [[0, 1]]]},
        "row 1, column 'x': a null vector",
    ),
    "a vector with NaN": (
        {"x": [[[0, 1]], [[0, 1]] * 2, [[0, float("nan")]] * 3, [[0, 1]]]},
        "row 2, column 'x': a vector with a number that is not finite",
    ),
    "an infinite number": (
        {"amt": [[0], [1, 2], [3, float("inf"), 4], [5]]},
        "row 2, column 'amt': not a finite float32",
    ),
    "numbers that float32 cannot tell apart": (
        {"amt": [[1.7e9], [1.7e9 + 1, 1.7e9 + 2], [1.7e9 + 3] * 3, [1.7e9]]},
        "column 'amt': its numbers lie 1.* around 1.7e.09, too close for float32 to tell apart",
    ),
    "a missing context": (
        {"age": [1, 2, None, 4]},
        "row 2, column 'age': missing .null or NaN.; missing = \"flag\" allows it",
    ),
    "a missing target": (
        {"next": [[0], [1, None], [0, 1, 2], [0]]},
        r"row 1, column 'next': missing \(null or NaN\)$",
    ),
    "an id beyond int64": (
        {"category": pa.array([[0], [1, 2**63], [2] * 3, [0]], pa.list_(pa.uint64()))},
        "column 'category': an id above 2.63 - 1",
    ),
    "a null label": ({"label": ["a", None, "b", "a"]}, "row 1, column 'label': a null label"),
    "a fractional label": ({"label": [0.0, 1.0, 0.0, 1.0]}, "column 'label': it is double; labels"),
    "one label only": ({"label": ["a"] * 4}, "column 'label': a classification needs two labels"),
    "strings as numbers": (
        {"amt": [["a"], ["b"] * 2, ["c"] * 3, ["d"]]},
        "column 'amt': it is string, not numbers",
    ),
    "numbers as vectors": (
        {"x": [[0], [1, 2], [3, 4, 5], [6]]},
        "column 'x': its vectors are int64, not lists",
    ),
    "floats as ids": (
        {"category": [[0.5], [1.0, 2.0], [3.0] * 3, [6.0]]},
        "column 'category': it is double; ids are integers or strings",
    ),
    "a scalar per token": ({"amt": [1, 2, 3, 4]}, "column 'amt': it is int64; what is per token"),
    "a list per sequence": (
        {"age": [[1], [2], [3], [4]]},
        "column 'age': it is list.*, not numbers",
    ),
    "a null time": (
        {"when": [[0], [1, None], [0, 1, 2], [0]]},
        "row 1, column 'when': a time that is missing",
    ),
    "a time that runs back": (
        {"when": [[0], [1, 0], [0, 1, 2], [0]]},
        "row 1, column 'when': a time before the first token's",
    ),
    "time that stands still": (
        {"when": [[0], [1, 1], [2, 2, 2], [0]]},
        "column 'when': no time passes in the training rows",
    ),
    "too wide a range of ids": (
        {"category": [[0], [1, 10**9], [2, 2, 2], [0]]},
        "column 'category': 0..1000000000 is too wide a range",
    ),
    "no id at all": (
        {"category": pa.array([[None] * (1 + i % 3) for i in range(4)], pa.list_(pa.int64()))},
        "column 'category': the training rows hold no id",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_data_are_refused_naming_file_row_and_column(tmp_path: Path, case: str) -> None:
    changed, message = REFUSED[case]
    with pytest.raises(DataError, match=rf"train\.parquet: {message}") as found:
        splits(tmp_path, **changed)
    assert "\n" not in str(found.value)


def test_a_missing_number_needs_a_policy(tmp_path: Path) -> None:
    holes = [[None], [1, 2], [3, float("nan"), 4], [5]]
    assert str(column(splits(tmp_path, amt=holes), "amount")[:2]) == "[nan, 1.0]"
    with pytest.raises(DataError, match="row 0, column 'amt': missing"):
        splits(tmp_path, TOML.replace('missing = "flag"\n', ""), amt=holes)


def test_an_unknown_label_in_validation_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write(folder / "train.parquet")
    write(folder / "validation.parquet", label=["no", "yes", "perhaps", "no"])
    message = (
        r"validation\.parquet: row 2, column 'label': label 'perhaps' is not one of no, yes; a "
    )
    with pytest.raises(DataError, match=message):
        load_dataset(folder, told(tmp_path))


@pytest.mark.parametrize(
    ("said", "values", "message"),
    [
        ("unknown = false", ["food", "shoes"], "row 1, column 'category': unknown id 'shoes'"),
        ("low = 0\nhigh = 3", [1, 4], "row 1, column 'category': unknown id 4"),
        ("unknown = false", ["food", None], "row 1, column 'category': null, where unknown"),
    ],
)
def test_an_unknown_id_is_refused_where_it_is_not_allowed(
    tmp_path: Path, said: str, values: list[Any], message: str
) -> None:
    folder = tmp_path / "data"
    toml = TOML.replace(
        '[columns.category]\nkind = "ids"', f'[columns.category]\nkind = "ids"\n{said}'
    )
    good, bad = [[values[0]] * (1 + i % 3) for i in range(4)], values[1]
    write(folder / "train.parquet", category=good)
    write(folder / "validation.parquet", category=[good[0], [values[0], bad], *good[2:]])
    with pytest.raises(DataError, match=rf"validation\.parquet: {message}"):
        load_dataset(folder, told(tmp_path, toml))


@pytest.mark.parametrize("said", ["low = 0\nhigh = 3", "most = 1"])
def test_what_is_said_of_ids_must_fit_their_type(tmp_path: Path, said: str) -> None:
    toml = TOML.replace(
        '[columns.category]\nkind = "ids"', f'[columns.category]\nkind = "ids"\n{said}'
    )
    values = rows()["category"] if "low" in said else [[1], [2, 2], [3] * 3, [4]]
    with pytest.raises(DataError, match=r"column 'category': .* (strings|integers)"):
        splits(tmp_path, toml, category=values)


def test_files_that_differ_in_width_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write(folder / "train.parquet")
    write(folder / "validation.parquet", x=[[[0.0] * 3] * (1 + i % 3) for i in range(4)])
    with pytest.raises(DataError, match="column 'x': its values differ in width or type"):
        load_dataset(folder, told(tmp_path))


def test_a_folder_without_validation_rows_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "data" / "train.parquet")
    with pytest.raises(DataError, match="data: there are no rows to call validation"):
        load_dataset(tmp_path / "data", told(tmp_path))


def test_a_file_beside_named_splits_is_not_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "data" / "more.parquet")
    with pytest.raises(DataError, match=r"more\.parquet: beside files named as splits"):
        splits(tmp_path)


@pytest.mark.parametrize("name", ["nowhere", "empty", "text.parquet"])
def test_what_is_no_parquet_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.parquet").write_text("a,b\n")
    with pytest.raises(DataError, match=f"{name}: "):
        load_dataset(tmp_path / name, told(tmp_path))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("steps = 4", "stps = 4", r"training\.stps: "),
        ("width = 8", "widht = 8", r"model\.widht: "),
        ('kind = "time"', 'kind = "tme"', r"columns\.when: "),
        ('missing = "flag"', 'missing = "drop"', r"columns\.amount\.numeric\.missing: "),
        ('name = "churn"', "", "name: Field required"),
        ("steps = 4", "steps = ", "Invalid value"),
        ("[context.age]", "[context.amount]", r".*context\.amount: there is a column of that name"),
    ],
)
def test_a_bad_toml_file_is_refused_naming_the_key(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(DataError, match=rf"columns\.toml: {message}"):
        splits(tmp_path, TOML.replace(old, new))
