"""What a table gives a model: batches of one row per sequence, and columns to carry over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from service.errors import RequestFileError
from service.manifest import Manifest
from service.tables.files import TableFile, readable


@dataclass(frozen=True, slots=True)
class Batch:
    """sequences: a record batch, named as the model does; kept: one of as many rows to carry over;
    place: says which row of the file one is.
    """

    sequences: Any
    kept: Any
    place: Callable[[int], str]


class Source(Protocol):
    """A table as a model reads it. rows: of sequences; kept: the schema of what is carried over."""

    path: Path
    rows: int | None
    kept: Any

    def batches(self, skip: int) -> Iterator[Batch]:
        """All batches but those that end within the first rows; the same ones at each run."""


@dataclass(frozen=True, slots=True)
class Names:
    """Columns of a file. tokens, context: by the model's names; kept: those carried over."""

    tokens: Mapping[str, str]
    context: Mapping[str, str]
    kept: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, manifest: Manifest, rename: Mapping[str, str] | None = None, kept: Sequence[str] = ()
    ) -> Names:
        """What the model reads, under other names in the file where ``rename`` says so."""
        found = {name: name for name in _read_by(manifest)} | dict(rename or {})
        for name in found:
            if name not in _read_by(manifest):
                known = ", ".join(_read_by(manifest))
                raise RequestFileError(f"--rename {name}=...: the model reads {known}")
        return cls(
            {column.name: found[column.name] for column in manifest.columns},
            {column.name: found[column.name] for column in manifest.context},
            tuple(dict.fromkeys(kept)),
        )

    @property
    def read(self) -> dict[str, str]:
        """Model's name -> file's name, of everything that the model reads."""
        return {**self.tokens, **self.context}

    def check(self, file: TableFile, others: Sequence[str] = ()) -> None:
        """RequestFileError unless the file has each of them, and of the others, once."""
        for name in (*self.read.values(), *self.kept, *others):
            count = file.schema.names.count(name)
            if count > 1:
                raise RequestFileError(f"{file.path}: there are {count} columns {name!r}")
            if not count:
                there = ", ".join(file.schema.names)
                raise RequestFileError(f"{file.path}: no column {name!r}; there are {there}")


def _read_by(manifest: Manifest) -> list[str]:
    return [column.name for column in (*manifest.columns, *manifest.context)]


class RowSource:
    """A file that has a sequence in each row."""

    def __init__(self, file: TableFile, names: Names) -> None:
        names.check(file)
        self.path, self.rows = file.path, file.rows
        self.kept = schema_of(file, names.kept)
        self._file, self._names = file, names

    def batches(self, skip: int) -> Iterator[Batch]:
        """See Source."""
        read = self._names.read
        first = skip
        kept = self._names.kept
        columns = list(dict.fromkeys((*read.values(), *kept)))
        with readable(self.path):
            for batch in self._file.batches(columns, skip):
                sequences = batch.select(list(read.values())).rename_columns(list(read))
                yield Batch(sequences, batch.select(list(kept)), _row(first))
                first += len(batch)


def schema_of(file: TableFile, columns: Sequence[str]) -> Any:
    """The schema of these columns alone."""
    import pyarrow as pa

    return pa.schema([file.schema.field(name) for name in columns])


def _row(first: int) -> Callable[[int], str]:
    return lambda i: f"row {first + i}"
