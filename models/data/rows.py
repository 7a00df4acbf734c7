"""The rows of Parquet or Arrow files as the columns, context and outputs that a TOML file names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from models.data.columns import Place, Values, is_list, join, nulls, reader
from models.data.spec import DataError, DatasetSpec, OutputSpec, Source

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = {".parquet": "parquet", ".arrow": "ipc", ".feather": "ipc"}


@dataclass(frozen=True, slots=True)
class Rows:
    """N sequences with T tokens in all, in the order of their files.

    lengths: (N,); columns and per-token outputs have T values, the others N.
    """

    lengths: Tensor
    at: Place
    columns: dict[str, Values]
    context: dict[str, Values]
    outputs: dict[str, Values]


def read_files(paths: Sequence[Path], spec: DatasetSpec) -> Rows:
    """All rows of the files. Raises DataError naming file, row and column of what is wrong."""
    parts = [_File(path, spec).rows() for path in paths]
    files = tuple(file for part in parts for file in part.at.files)
    lengths = torch.cat([part.lengths for part in parts])
    ends = lengths.cumsum(0).numpy()

    def joined(groups: Sequence[dict[str, Values]]) -> dict[str, Values]:
        return {name: _joined([group[name] for group in groups], files, ends) for name in groups[0]}

    return Rows(
        lengths,
        Place(files, parts[0].at.column),
        joined([part.columns for part in parts]),
        joined([part.context for part in parts]),
        joined([part.outputs for part in parts]),
    )


def _joined(
    parts: Sequence[Values], files: tuple[tuple[Path, int], ...], ends: np.ndarray
) -> Values:
    own = parts[0].at
    return join(parts, Place(files, own.column, None if own.ends is None else ends))


class _File:
    """One file under reading; the first column of tokens says how long sequences are."""

    def __init__(self, path: Path, spec: DatasetSpec) -> None:
        self.path, self.spec = path, spec
        self.table = _table(path, spec)
        self.files = ((path, self.table.num_rows),)
        first = next(iter(spec.columns.items()))
        self.first = _source(*first)
        self.lengths = self._lengths(self.first)

    def rows(self) -> Rows:
        """Everything that the TOML file names."""
        spec = self.spec
        return Rows(
            torch.from_numpy(self.lengths),
            Place(self.files, self.first),
            {name: self._tokens(name, own) for name, own in spec.columns.items()},
            {name: self._sequences(name, own) for name, own in spec.context.items()},
            {name: self._output(name, own) for name, own in spec.outputs.items()},
        )

    def _output(self, name: str, own: OutputSpec) -> Values:
        return self._tokens(name, own) if own.per == "token" else self._sequences(name, own)

    def _sequences(self, name: str, own: Source) -> Values:
        column = _source(name, own)
        return reader(own)(self.table[column], Place(self.files, column))

    def _tokens(self, name: str, own: Source) -> Values:
        import pyarrow.compute as pc

        column = _source(name, own)
        lengths = self._lengths(column)
        Place(self.files, column).refuse(
            lengths != self.lengths,
            lambda i: f"{lengths[i]} values, but {self.first!r} has {self.lengths[i]}",
        )
        at = Place(self.files, column, np.cumsum(lengths))
        return reader(own)(pc.list_flatten(self.table[column]), at)

    def _lengths(self, column: str) -> np.ndarray:
        import pyarrow.compute as pc

        arrow, at = self.table[column], Place(self.files, column)
        if not is_list(arrow.type):
            raise at.wrong(f"it is {arrow.type}; what is per token is a list in every row")
        at.refuse(nulls(arrow), "null; a sequence without tokens is an empty list")
        return np.array(pc.list_value_length(arrow).to_numpy(), dtype=np.int64)


def _source(name: str, own: Source) -> str:
    return own.source or name


def _table(path: Path, spec: DatasetSpec) -> pa.Table:
    """The columns that are named; DataError lists those present where one is missing."""
    import pyarrow as pa
    import pyarrow.dataset as pd

    groups = (spec.columns, spec.context, spec.outputs)
    wanted = [_source(name, own) for group in groups for name, own in group.items()]
    try:
        file = pd.dataset(path, format=FORMATS[path.suffix])
        missing = [column for column in wanted if column not in file.schema.names]
        if missing:
            present = ", ".join(file.schema.names)
            raise DataError(f"{path}: no column {missing[0]!r}; there are {present}")
        return file.to_table(columns=list(dict.fromkeys(wanted)))
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: {' '.join(str(error).split())}") from error
