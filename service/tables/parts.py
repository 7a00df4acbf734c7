"""Finished parts of an answer, kept beside it until it is whole, so that a run can be taken up.

A part is a Parquet file with a row group for each batch. Parts are only ever added; the record says
what they are made from.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from service.errors import RequestFileError
from service.tables.files import readable

RECORD, WHOLE, UNFINISHED = "record.json", "whole.parquet", ".unfinished"
GROUP_BYTES = 32 * 2**20  # of a row group of the whole, about


class Parts:
    """The parts of ``out``, in a folder beside it."""

    def __init__(self, out: Path, schema: Any, record: Mapping[str, Any]) -> None:
        """Take up what is there; RequestFileError where that was made from something else."""
        self.out, self._schema, self.folder = out, schema, out.with_name(f"{out.name}.parts")
        self.folder.mkdir(exist_ok=True)
        self._check(record)
        self._count = 0
        while self._path(self._count).exists():
            self._count += 1
        self.rows: int = sum(file.metadata.num_rows for file in self._files())

    def _check(self, record: Mapping[str, Any]) -> None:
        path, text = self.folder / RECORD, json.dumps(record, indent=1, sort_keys=True)
        if not path.exists():
            if any(part.suffix != UNFINISHED for part in self.folder.iterdir()):
                raise RequestFileError(f"{self.folder}: it is something else, without {RECORD}")
            with _whole_or_not(path) as unfinished:
                unfinished.write_text(text)
        elif (found := _read(path)) != json.loads(text):
            differs = next(k for k in (*record, *found) if found.get(k) != record.get(k))
            made = f"these parts were made from other things ({differs} differs)"
            raise RequestFileError(f"{self.folder}: {made}; delete it to start anew")

    def add(self, tables: Sequence[Any]) -> None:
        """One more part, of these tables."""
        self._write(self._path(self._count), tables)
        self._count += 1
        self.rows += sum(map(len, tables))

    def finish(self) -> None:
        """Write the whole, put it in its place at once, and delete the parts."""
        self._write(self.folder / WHOLE, self._groups())
        os.replace(self.folder / WHOLE, self.out)
        for path in (*map(self._path, range(self._count)), self.folder / RECORD):
            path.unlink()
        for path in self.folder.glob(f"*{UNFINISHED}"):
            path.unlink()
        self.folder.rmdir()

    def _write(self, path: Path, tables: Iterable[Any]) -> None:
        """A Parquet file with a row group for each table."""
        import pyarrow.parquet as pq

        with _whole_or_not(path) as unfinished, pq.ParquetWriter(unfinished, self._schema) as file:
            for table in tables:
                file.write_table(table, row_group_size=max(1, len(table)))

    def _groups(self) -> Iterator[Any]:
        """What is in the parts, in pieces of bounded size that do not depend on where parts end."""
        import pyarrow as pa

        group: list[Any] = []
        for file in self._files():
            for i in range(file.num_row_groups):
                group.append(file.read_row_group(i))
                if sum(table.nbytes for table in group) >= GROUP_BYTES:
                    yield pa.concat_tables(group)
                    group = []
        if group:
            yield pa.concat_tables(group)

    def _files(self) -> Iterator[Any]:
        import pyarrow.parquet as pq

        for i in range(self._count):
            with readable(self._path(i)):
                yield pq.ParquetFile(self._path(i))

    def _path(self, part: int) -> Path:
        return self.folder / f"{part:06}.parquet"


@contextmanager
def _whole_or_not(path: Path) -> Iterator[Path]:
    """A file that is there whole or not at all: another name for it until it is."""
    unfinished = path.with_name(path.name + UNFINISHED)
    yield unfinished
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except ValueError:
        return {}
