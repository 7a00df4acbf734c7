from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from models.data.dataset import load_dataset, load_split
from models.data.spec import DataError
from models.training.evaluation import figures_of_tests
from models.training.run import build_model, train
from tests.models.data.parquet import TOML, rows, splits, told, write


def test_a_batch_of_empty_sequences_has_nothing_to_lose(tmp_path: Path) -> None:
    lengths = [9, 0, 9, 9]
    columns: dict[str, Any] = {
        "amt": [[1.0] * n for n in lengths],
        "category": [["food"] * n for n in lengths],
        "when": [[float(j) for j in range(n)] for n in lengths],
        "x": [[[1.0, 2.0]] * n for n in lengths],
        "next": [[1.0] * n for n in lengths],
    }
    assert "loss" in train(splits(tmp_path, TOML, **columns), "sumformer", tmp_path / "out")


def emptied() -> dict[str, Any]:
    """The columns of tokens, of sequences that have none."""
    numbers = pa.array([[]] * 4, pa.list_(pa.float64()))
    return {
        **dict.fromkeys(("amt", "when", "next"), numbers),
        "category": pa.array([[]] * 4, pa.list_(pa.string())),
        "x": pa.array([[]] * 4, pa.list_(pa.list_(pa.float64(), 2))),
    }


def test_training_rows_without_any_token_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="data: the training rows hold no token"):
        splits(tmp_path, **emptied())


def test_a_split_of_empty_sequences_is_measured_as_in_training(tmp_path: Path) -> None:
    for name in ("train", "validation"):
        write(tmp_path / "data" / f"{name}.parquet", **rows(8))
    write(tmp_path / "data" / "test.parquet", **emptied())
    task = load_dataset(tmp_path / "data", told(tmp_path))
    again = load_split(tmp_path / "data", told(tmp_path), 0, "test", task.signature)
    model = build_model(task, "sumformer")
    assert figures_of_tests(again, model) == figures_of_tests(task, model)
