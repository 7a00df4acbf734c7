"""A long table, a row per token: its tokens in order of time, a sequence for each key.

All of the columns that are needed lie in memory, and the order of their rows; what is made of them
does not, but a batch at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from service.errors import RequestFileError, quoted
from service.pack import Array
from service.tables.files import TableFile, readable
from service.tables.source import Batch, Names, schema_of

BATCH_TOKENS = 2**18  # of a batch, about


class GroupSource:
    """A sequence per key, in the order of keys; tokens of one key by time, else as in the file."""

    def __init__(self, file: TableFile, names: Names, key: str, order: str | None) -> None:
        by = [key] if order is None else [key, order]
        names.check(file, by)
        kept = tuple(dict.fromkeys((key, *names.kept)))
        self.path, self.kept = file.path, schema_of(file, kept)
        self._names, self._key = names, key
        with readable(self.path):
            columns = list(dict.fromkeys((*names.read.values(), *kept, *by)))
            self._table = _table(file, columns)
            self._rows = self._sorted(by)
            self._starts = self._first_of_each()
        self.rows: int | None = len(self._starts)

    def _sorted(self, by: list[str]) -> Array:
        """(T,) which row comes when; a stable order."""
        import pyarrow as pa
        import pyarrow.compute as pc

        for name in by:
            nulls = pc.is_null(self._table[name], nan_is_null=True).to_numpy()
            if nulls.any():
                where = f"row {int(nulls.argmax())}, column {name!r}"
                raise RequestFileError(f"{self.path}: {where}: null, where every row needs one")
        keys = pa.table({str(i): _plain(self._table[name]) for i, name in enumerate(by)})
        found = pc.sort_indices(keys, [(name, "ascending") for name in keys.column_names])
        return np.asarray(found.to_numpy())

    def _first_of_each(self) -> Array:
        """(N,) where in the order each key begins."""
        import pyarrow.compute as pc

        keys = _plain(self._table[self._key]).take(self._rows)
        if not len(keys):
            return np.empty(0, np.int64)
        differ = pc.not_equal(keys.slice(1), keys.slice(0, len(keys) - 1)).to_numpy()
        return np.append(0, 1 + np.flatnonzero(differ))

    def batches(self, skip: int) -> Iterator[Batch]:
        """See Source."""
        ends, first = np.append(self._starts[1:], len(self._rows)), 0
        while first < len(self._starts):
            reach = self._starts[first] + BATCH_TOKENS
            last = max(first + 1, int(np.searchsorted(ends, reach, side="right")))
            if last > skip:
                yield self._batch(self._starts[first:last], ends[first:last])
            first = last

    def _batch(self, starts: Array, ends: Array) -> Batch:
        import pyarrow as pa

        rows, heads = self._rows[starts[0] : ends[-1]], self._rows[starts]
        offsets = pa.array(np.append(starts, ends[-1]) - starts[0], pa.int64())
        columns = {
            name: pa.LargeListArray.from_arrays(offsets, self._take(own, rows))
            for name, own in self._names.tokens.items()
        }
        columns |= {name: self._take(own, heads) for name, own in self._names.context.items()}
        kept = {name: self._take(name, heads) for name in self.kept.names}
        return Batch(pa.record_batch(columns), pa.record_batch(kept), self._place(kept[self._key]))

    def _take(self, column: str, rows: Array) -> Any:
        return self._table[column].take(rows).combine_chunks()

    def _place(self, keys: Any) -> Callable[[int], str]:
        return lambda i: f"{self._key} {quoted(str(keys[i].as_py()))}"


def _table(file: TableFile, columns: list[str]) -> Any:
    """These columns, each in one piece: rows are going to be taken from all over it."""
    import pyarrow as pa

    batches = [batch.select(columns) for batch in file.batches(columns)]
    return pa.Table.from_batches(batches, schema_of(file, columns)).combine_chunks()


def _plain(column: Any) -> Any:
    """The column; of a dictionary what its codes stand for."""
    import pyarrow as pa

    kind = column.type
    return column.cast(kind.value_type) if pa.types.is_dictionary(kind) else column
