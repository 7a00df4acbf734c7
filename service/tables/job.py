"""A table answered: batch after batch through a session, into parts, and the whole in its place."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from service.checks import not_finite
from service.engine.starts import Runs
from service.errors import BadRequest, RequestFileError
from service.manifest import Manifest
from service.pack import Array, Pack
from service.tables.parts import Parts
from service.tables.source import Batch, Source
from service.tables.steps import NO_LIMITS, answers
from service.wires.arrow_answer import to_arrow
from service.wires.arrow_sequences import ArrowSequences
from service.wires.validation import admit

PART_SECONDS = 10.0  # of work that a killed run may lose, about
PART_BYTES = 2**26  # of answers in memory, about


class Job:
    """What a session answers to a source, as a Parquet file."""

    def __init__(self, session: Runs, source: Source, step_tokens: int) -> None:
        """RequestFileError where what is carried over is called as what is answered."""
        self._session, self._source, self._step_tokens = session, source, step_tokens
        answer = _schema(session.manifest)
        for name in source.kept.names:
            if name in answer.names:
                raise RequestFileError(
                    f"{source.path}: column {name!r} and an output have one name"
                )
        self.schema = _joined(source.kept, answer)

    def run(
        self, out: Path, record: dict[str, Any], now: Callable[[], float] = time.monotonic
    ) -> int:
        """Answer all rows, but for those in parts that ``record`` is true of; how many there were.

        RequestFileError names the first row that does not fit the model.
        """
        parts = Parts(out, self.schema, record)
        before, begun, pending = parts.rows, now(), list[Any]()
        with tqdm(
            None, "predict", self._source.rows, unit="row", initial=before, disable=None
        ) as bar:
            for batch in self._source.batches(before):
                pending.append(self._answer(batch))
                bar.update(len(pending[-1]))
                if now() - begun >= PART_SECONDS or _size(pending) >= PART_BYTES:
                    parts.add(pending)
                    begun, pending = now(), []
        if pending:
            parts.add(pending)
        parts.finish()
        return before

    def _answer(self, batch: Batch) -> Any:
        """A table of what is carried over and what is answered."""
        import pyarrow as pa

        manifest = self._session.manifest
        pack = self._admitted(batch)
        outputs = answers(self._session, pack, self._step_tokens)
        row, why = not_finite(manifest, pack.lengths, outputs)
        if why:
            raise self._bad(batch, row, why)
        found = pa.record_batch(to_arrow(manifest, pack.lengths, outputs))
        return pa.Table.from_arrays([*batch.kept.columns, *found.columns], schema=self.schema)

    def _admitted(self, batch: Batch) -> Pack:
        """The batch as a pack; RequestFileError for its first row that is not one."""
        try:
            return self._pack(batch.sequences)
        except BadRequest:
            row = self._first_bad(batch.sequences)
        try:
            return self._pack(batch.sequences.slice(row, 1))
        except BadRequest as error:
            raise self._bad(batch, row, str(error)) from error

    def _first_bad(self, sequences: Any) -> int:
        """The first row that is refused, by halving."""
        first, last = 0, len(sequences)
        while last - first > 1:
            middle = (first + last) // 2
            try:
                self._pack(sequences.slice(first, middle - first))
                first = middle
            except BadRequest:
                last = middle
        return first

    def _pack(self, sequences: Any) -> Pack:
        return admit(ArrowSequences.of([sequences]), self._session.manifest, NO_LIMITS)

    def _bad(self, batch: Batch, row: int, why: str) -> RequestFileError:
        return RequestFileError(f"{self._source.path}: {batch.place(row)}: {why}")


def _size(tables: list[Any]) -> int:
    return sum(table.nbytes for table in tables)


def _schema(manifest: Manifest) -> Any:
    """Of what is answered: that of no answer."""
    import pyarrow as pa

    none: dict[str, Array] = {o.name: np.empty((0, o.width), np.float32) for o in manifest.outputs}
    return pa.record_batch(to_arrow(manifest, np.empty(0, np.int64), none)).schema


def _joined(kept: Any, answer: Any) -> Any:
    import pyarrow as pa

    return pa.schema([*kept, *answer])
