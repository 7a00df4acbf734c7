"""Random tables for the bundle of these tests, and what its session answers to them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from service.cli import main
from service.pack import Array, Pack
from service.session import Session

COLUMNS = ("amount", "kind", "when", "place")
LENGTHS = (3, 0, 40, 1, 25, 100, 7, 0, 19, 64, 2, 5)


def pack(lengths: Sequence[int] = LENGTHS, seed: int = 0) -> Pack:
    """Tokens and context of every kind, a missing number among them."""
    rng = np.random.default_rng(seed)
    tokens, count = sum(lengths), len(lengths)
    amount = rng.normal(size=tokens).astype(np.float32)
    amount[::7] = np.nan
    columns: dict[str, Array] = {
        "amount": amount,
        "kind": rng.integers(0, 5, tokens),
        "when": rng.uniform(0, 100, tokens).round(),
        "place": rng.normal(size=(tokens, 2)).astype(np.float32),
    }
    context: dict[str, Array] = {
        "v": rng.normal(size=(count, 2)).astype(np.float32),
        "g": rng.integers(0, 4, count),
    }
    return Pack(columns, np.array(lengths), context)


def column(values: Array) -> pa.Array:
    """Numbers or vectors; NaN is null."""
    if values.ndim == 1:
        return pa.array(values, from_pandas=True)
    return pa.FixedSizeListArray.from_arrays(values.ravel(), values.shape[1])


def table(of: Pack, **more: Any) -> pa.Table:
    """A row per sequence."""
    offsets = pa.array(np.append(0, np.cumsum(of.lengths)), pa.int32())
    lists = {n: pa.ListArray.from_arrays(offsets, column(v)) for n, v in of.columns.items()}
    return pa.table({**lists, **{n: column(v) for n, v in of.context.items()}, **more})


def predict(*argv: object) -> int:
    """The command's exit code."""
    return main(["predict", *map(str, argv)])


def answered(folder: Path, of: pa.Table, path: Path, *options: object) -> pa.Table:
    """The answers to a table, through files and the command."""
    source, out = path / "in.parquet", path / "out.parquet"
    pq.write_table(of, source, row_group_size=5)
    assert predict(folder, source, out, *options) == 0
    return pq.read_table(out)


def assert_answers(found: pa.Table, session: Session, of: Pack) -> None:
    """To the last bit what the session says of the sequences."""
    wanted = session.run(of)
    assert found.num_rows == len(of.lengths)
    for output in session.manifest.outputs:
        numbers = np.array(flat(found[output.name].combine_chunks()), np.float32)
        assert np.array_equal(numbers, wanted[output.name].ravel()), output.name
    counts = [len(row) for row in found["a"].to_pylist()]
    assert counts == of.lengths.tolist()
    labels = [session.manifest.outputs[2].labels[i] for i in wanted["c"].argmax(-1)]  # type: ignore[index]
    assert found["c.label"].to_pylist() == labels


def flat(values: pa.Array) -> pa.Array:
    """All numbers of lists in lists."""
    while pa.types.is_list(values.type) or pa.types.is_fixed_size_list(values.type):
        values = values.flatten()
    return values
