"""Parquet files of event histories, and what is said of them; a test changes what it is about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from models.data.dataset import DatasetTask, load_dataset
from models.signature import IdsColumn

TOML = """
name = "churn"
[columns.amount]
kind = "numeric"
from = "amt"
missing = "flag"
[columns.category]
kind = "ids"
[columns.when]
kind = "time"
[columns.x]
kind = "vector"
[context.age]
kind = "numeric"
[outputs.risk]
kind = "classification"
per = "sequence"
from = "label"
[outputs.next]
kind = "regression"
per = "token"
[model]
width = 8
blocks = 1
heads = 2
[training]
steps = 4
evaluate_every = 2
tokens = 8
"""


def rows(count: int = 4) -> dict[str, Any]:
    """Sequences of 1, 2, 3, 1, 2, 3, ... tokens."""
    lengths = [1 + i % 3 for i in range(count)]
    return {
        "amt": [[float(i + j) for j in range(n)] for i, n in enumerate(lengths)],
        "category": [["food", "rent", "food"][:n] for n in lengths],
        "when": [[10.0 * j for j in range(n)] for n in lengths],
        "x": [[[float(i), float(j)] for j in range(n)] for i, n in enumerate(lengths)],
        "age": [20 + i for i in range(count)],
        "label": [["no", "yes"][i % 2] for i in range(count)],
        "next": [[float(j) for j in range(n)] for n in lengths],
    }


def write(path: Path, **changed: Any) -> Path:
    """The rows, some columns changed (None: left out), as one file; arrays keep their type."""
    columns = {name: values for name, values in {**rows(), **changed}.items() if values is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def told(folder: Path, toml: str = TOML) -> Path:
    """The TOML file."""
    path = folder / "columns.toml"
    path.write_text(toml)
    return path


def splits(folder: Path, toml: str = TOML, **changed: Any) -> DatasetTask:
    """The task of a folder with the same rows, changed in the same way, in every split."""
    for name in ("train", "validation", "test"):
        write(folder / "data" / f"{name}.parquet", **changed)
    return load_dataset(folder / "data", told(folder, toml))


def ids(task: DatasetTask, name: str = "category") -> IdsColumn:
    """The column of that name in the signature."""
    found = next(column for column in task.signature.columns if column.name == name)
    assert isinstance(found, IdsColumn)
    return found


def column(task: DatasetTask, name: str) -> list[Any]:
    """All values of the rows, end to end."""
    values: list[Any] = task.store.pack.columns[name].tolist()
    return values
