from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from models.data.dataset import load_dataset
from models.signature import Output, TimeColumn, VectorColumn
from tests.models.data.parquet import TOML, column, ids, rows, splits, told, write


def test_list_columns_lie_end_to_end_and_scalars_are_per_sequence(tmp_path: Path) -> None:
    batch = splits(tmp_path).validation()
    assert batch.pack.lengths.tolist() == [1, 2, 3, 1]
    assert batch.pack.columns["amount"].tolist() == [0, 1, 2, 2, 3, 4, 3]
    assert batch.pack.columns["x"].tolist()[1:3] == [[1, 0], [1, 1]]
    assert batch.pack.context["age"].tolist() == [20, 21, 22, 23]
    assert batch.targets["risk"].tolist() == [0, 1, 0, 1]
    assert batch.targets["next"].tolist() == [0, 0, 1, 0, 1, 2, 0]


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.list_(pa.float32())),
        pa.large_list(pa.large_list(pa.float64())),
        pa.list_(pa.list_(pa.float32(), 2)),
    ],
    ids=str,
)
def test_every_kind_of_arrow_list_is_read(tmp_path: Path, kind: pa.DataType) -> None:
    task = splits(tmp_path, x=pa.array(rows()["x"], kind))
    assert task.validation().pack.columns["x"].tolist() == [v for row in rows()["x"] for v in row]


def test_sequences_of_one_length_may_be_fixed_size_lists(tmp_path: Path) -> None:
    toml = TOML.replace('[columns.x]\nkind = "vector"', '[columns.x]\nkind = "numeric"')
    same: dict[str, Any] = {
        name: [[1.0, 2.0]] * 4 if name in ("amt", "when", "next") else values
        for name, values in rows().items()
    }
    same["category"] = [["a", "b"]] * 4
    same["x"] = pa.array([[i, i + 1] for i in range(4)], pa.list_(pa.float32(), 2))
    assert column(splits(tmp_path, toml, **same), "x")[:4] == [0, 1, 1, 2]


def test_dictionary_encoded_strings_are_strings(tmp_path: Path) -> None:
    flat = pa.array(["food", "food", "rent", "food", "rent", "food", "food"]).dictionary_encode()
    encoded = pa.ListArray.from_arrays(pa.array([0, 1, 3, 6, 7]), flat)
    assert ids(splits(tmp_path, category=encoded)).labels == ("food", "rent")


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view()])
def test_every_kind_of_arrow_string_is_read(tmp_path: Path, kind: pa.DataType) -> None:
    told = pa.array(rows()["category"], pa.list_(kind))
    assert ids(splits(tmp_path, category=told)).labels == ("food", "rent")


def test_timestamps_are_seconds(tmp_path: Path) -> None:
    start = datetime.datetime(2024, 5, 1)
    stamps = [[start + datetime.timedelta(seconds=s) for s in row] for row in rows()["when"]]
    seen = torch.tensor(column(splits(tmp_path, when=stamps), "when"), dtype=torch.float64)
    assert (seen[1:3] - seen[1]).tolist() == [0, 10]


def test_empty_sequences_are_sequences(tmp_path: Path) -> None:
    empty: dict[str, Any] = {
        name: [[], *rows()[name][1:]] for name in ("amt", "category", "when", "x", "next")
    }
    task = splits(tmp_path, **empty)
    assert task.signature.min_length == 0
    assert task.validation().pack.lengths.tolist() == [0, 2, 3, 1]
    assert task.trained_lengths == (0, 3)


def test_targets_of_a_regression_may_be_vectors(tmp_path: Path) -> None:
    toml = TOML.replace('kind = "classification"', 'kind = "regression"')
    task = splits(tmp_path, toml, label=[[1.0, 2.0, 3.0]] * 4)
    assert task.signature.outputs[0].width == 3
    assert task.validation().targets["risk"].shape == (4, 3)


def test_the_signature_is_that_of_the_data(tmp_path: Path) -> None:
    shape = splits(tmp_path).signature
    assert [c.name for c in shape.columns] == ["amount", "category", "when", "x"]
    assert shape.columns[3] == VectorColumn(name="x", width=2)
    risk, following = shape.outputs
    assert risk == Output(
        name="risk", per="sequence", width=2, kind="classification", labels=("no", "yes")
    )
    assert (following.name, following.per, following.width) == ("next", "token", 1)
    assert (shape.min_length, shape.max_length) == (1, None)


def test_a_regression_is_in_the_scale_of_its_training_targets(tmp_path: Path) -> None:
    targets = [[1000.0], [1000.0, 1030.0], [1000.0, 1030.0, 1015.0], [1030.0]]
    following = splits(tmp_path, next=targets).signature.outputs[1]
    assert following.offset == pytest.approx((1015,))
    assert following.scale == pytest.approx((13.887,), abs=1e-3)


def test_targets_that_never_vary_keep_a_scale_of_one(tmp_path: Path) -> None:
    targets = [[7.0] * n for n in (1, 2, 3, 1)]
    following = splits(tmp_path, next=targets).signature.outputs[1]
    assert (following.scale, following.offset) == ((1.0,), (7.0,))


def test_words_are_numbered_by_frequency_and_then_by_the_alphabet(tmp_path: Path) -> None:
    words = [["b"], ["d", "a"], ["d", "c", "d"], ["c"]]
    task = splits(tmp_path, category=words)
    assert ids(task).labels == ("d", "c", "a", "b")
    assert column(task, "category")[:7] == [3, 0, 2, 0, 1, 0, 1]


def test_only_the_most_frequent_words_are_kept(tmp_path: Path) -> None:
    toml = TOML.replace(
        '[columns.category]\nkind = "ids"', '[columns.category]\nkind = "ids"\nmost = 1'
    )
    task = splits(tmp_path, toml)
    assert (ids(task).labels, ids(task).high) == (("food",), 0)
    assert column(task, "category")[:3] == [0, 0, 1]


def test_vocabularies_are_of_the_training_rows_only(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write(folder / "train.parquet")
    write(folder / "validation.parquet", category=[["new"], ["rent", None], ["food"] * 3, ["x"]])
    task = load_dataset(folder, told(tmp_path))
    assert ids(task).labels == ("food", "rent")
    assert task.validation().pack.columns["category"].tolist() == [2, 1, 2, 0, 0, 0, 2]


def test_integer_ids_have_the_range_seen(tmp_path: Path) -> None:
    task = splits(tmp_path, category=[[7], [3, 4], [5, 5, 5], [None]])
    assert (ids(task).low, ids(task).high, ids(task).unknown) == (3, 7, True)


def test_integer_labels_are_in_order_of_number(tmp_path: Path) -> None:
    task = splits(tmp_path, label=[10, 9, 10, 100])
    assert task.signature.outputs[0].labels == ("9", "10", "100")
    assert task.validation().targets["risk"].tolist() == [1, 0, 1, 2]


def test_labels_may_be_given_in_their_order(tmp_path: Path) -> None:
    toml = TOML.replace('from = "label"', 'from = "label"\nlabels = ["yes", "no", "maybe"]')
    task = splits(tmp_path, toml)
    assert task.signature.outputs[0].labels == ("yes", "no", "maybe")
    assert task.validation().targets["risk"].tolist() == [1, 0, 1, 0]


def test_wavelengths_span_the_gaps_and_the_longest_sequence(tmp_path: Path) -> None:
    times = [[5.0], [100.0, 100.5], [0.0, 1.0, 30.0], [7.0]]
    found = splits(tmp_path, when=times).signature.columns[2]
    assert isinstance(found, TimeColumn)
    assert found.longest == 30
    assert 0.5 <= found.shortest < 0.52


@pytest.mark.parametrize(("architecture", "longest"), [("sumformer", None), ("linformer", 3)])
def test_lengths_are_bounded_only_where_the_architecture_needs_it(
    tmp_path: Path, architecture: str, longest: int | None
) -> None:
    assert splits(tmp_path).config(architecture).signature.max_length == longest
