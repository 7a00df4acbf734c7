"""Parquet and Arrow files, read in batches of bounded size; nothing else is known of them here.

Batches of a file are the same whenever it is read, so that a run can go on where one stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from service.errors import RequestFileError, StartupError

BATCH_BYTES = 16 * 2**20  # of a batch, about


class TableFile(Protocol):
    """A file with named columns. schema: pyarrow's; rows: None where only reading would tell."""

    path: Path
    schema: Any
    rows: int | None

    def batches(self, columns: Sequence[str], skip: int = 0) -> Iterator[Any]:
        """Record batches of these columns, but for those that end within the first rows."""


def open_table(path: Path) -> TableFile:
    """The file as its name ends; RequestFileError where it cannot be read."""
    needs_pyarrow()
    with readable(path):
        return ParquetTable(path) if path.suffix == ".parquet" else ArrowTable(path)


def needs_pyarrow() -> None:
    """Raise StartupError where it is not installed: tables are an extra."""
    try:
        import pyarrow  # noqa: F401
    except ModuleNotFoundError as error:
        raise StartupError("pyarrow is not installed: pip install 'sumserve[arrow]'") from error


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raise RequestFileError for what pyarrow says of the file."""
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise RequestFileError(f"{path}: {' '.join(str(error).split())[:300]}") from error


class ParquetTable:
    """A Parquet file, read by row groups."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self.path, self._file = path, pq.ParquetFile(path)
        self.schema: Any = self._file.schema_arrow
        self.rows: int | None = self._file.metadata.num_rows

    def batches(self, columns: Sequence[str], skip: int = 0) -> Iterator[Any]:
        """See TableFile."""
        first = 0
        for group in range(self._file.num_row_groups):
            rows, size = self._size(group, columns)
            if first + rows > skip:
                most = max(1, BATCH_BYTES * rows // max(1, size))
                read = self._file.iter_batches(most, row_groups=[group], columns=list(columns))
                yield from _after(read, skip - first)
            first += rows

    def _size(self, group: int, columns: Sequence[str]) -> tuple[int, int]:
        """A row group's rows, and the bytes of these columns."""
        about = self._file.metadata.row_group(group)
        parts = [about.column(i) for i in range(about.num_columns)]
        roots = tuple(f"{name}." for name in columns)
        own = [part for part in parts if f"{part.path_in_schema}.".startswith(roots)]
        return about.num_rows, sum(part.total_uncompressed_size for part in own)


class ArrowTable:
    """An Arrow file or stream, mapped into memory; a Feather file is one."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self.path = path
        with pa.memory_map(str(path)) as mapped:
            self._is_file = mapped.read(6) == b"ARROW1"
        self.schema: Any = self._reader([]).schema
        self.rows: int | None = None
        if self._is_file:
            import pyarrow.dataset as pd

            self.rows = pd.dataset(path, format="ipc").count_rows()

    def batches(self, columns: Sequence[str], skip: int = 0) -> Iterator[Any]:
        """See TableFile."""
        yield from _after(self._pieces(columns), skip)

    def _pieces(self, columns: Sequence[str]) -> Iterator[Any]:
        reader = self._reader(sorted(map(self.schema.get_field_index, columns)))
        whole = reader
        if self._is_file:
            whole = (reader.get_batch(i) for i in range(reader.num_record_batches))
        for batch in whole:
            most = max(1, BATCH_BYTES * len(batch) // max(1, batch.nbytes))
            yield from (batch.slice(at, most) for at in range(0, len(batch), most))

    def _reader(self, fields: list[int]) -> Any:
        import pyarrow as pa

        opened = pa.ipc.open_file if self._is_file else pa.ipc.open_stream
        options = pa.ipc.IpcReadOptions(included_fields=fields)  # none: all
        return opened(pa.memory_map(str(self.path)), options=options)


def _after(batches: Iterator[Any], skip: int) -> Iterator[Any]:
    """Those that do not end within the first ``skip`` rows."""
    end = 0
    for batch in batches:
        end += len(batch)
        if end > skip and len(batch):
            yield batch
