"""One's own ragged data as a task: Parquet or Arrow files, and a TOML file on what they mean.

One row per sequence; what is per token lies in list columns. All of it is held in memory, end to
end and unpadded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.data.fit import fit
from models.data.rows import FORMATS, Rows, read_files
from models.data.spec import DataError, DatasetSpec, read_spec
from models.data.store import Store, encode
from models.pack import Pack
from models.signature import Signature
from models.tasks.task import Batch, Task
from models.training.budget import runs

SPLITS = ("train", "validation", "test")


class DatasetTask(Task):
    """Batches are whole sequences up to a token budget; every epoch has its own order."""

    def __init__(
        self, spec: DatasetSpec, signature: Signature, store: Store, splits: dict[str, Tensor]
    ) -> None:
        self.name, self.signature = spec.name, signature
        self.recipe, self.size, self.tokens = spec.training, spec.model, spec.training.tokens
        self.architecture = spec.model.architecture
        self.store, self.splits = store, splits
        lengths = store.pack.lengths[splits["train"]]
        self.trained_lengths = (int(lengths.min()), int(lengths.max()))
        silent = all(output.per == "token" for output in signature.outputs)
        self._train = splits["train"][lengths > 0] if silent else splits["train"]
        self.restore({})

    def batch(self, generator: torch.Generator) -> Batch:
        """The next sequences of the epoch."""
        if self._next == len(self._runs):
            self._begin(torch.randperm(len(self._train), generator=generator), 0)
        start, end = self._runs[self._next]
        self._next += 1
        return self.store.take(self._train[self._order[start:end]])

    def validation(self) -> Batch:
        """The validation rows."""
        return self.store.take(self.splits["validation"])

    def tests(self) -> dict[str, Batch]:
        """The test rows, if there are any."""
        return {"": self.store.take(self.splits["test"])} if "test" in self.splits else {}

    def fitting(self) -> Pack:
        """The training rows."""
        return self.store.take(self.splits["train"]).pack

    @property
    def longest(self) -> int:
        """Of all rows: those to validate and to test with are read too."""
        return int(self.store.pack.lengths.max())

    @property
    def fingerprint(self) -> str:
        """Of all values, so that a run is not resumed with others."""
        return self.store.fingerprint()

    def state(self) -> dict[str, Any]:
        """The place in the epoch."""
        return {"order": self._order, "next": self._next}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a place; an empty state is the start of an epoch yet to be drawn."""
        self._begin(state.get("order", torch.empty(0, dtype=torch.int64)), state.get("next", 0))

    def _begin(self, order: Tensor, place: int) -> None:
        if len(order) not in (0, len(self._train)):
            raise DataError(f"{self.name}: the run had {len(order)} rows, not {len(self._train)}")
        self._order, self._next = order, place
        lengths = self.store.pack.lengths[self._train[order]]
        self._runs = list(runs(lengths, self.tokens))


def load_dataset(data: Path, columns: Path, seed: int = 0) -> DatasetTask:
    """The task of learning from the rows of a Parquet or Arrow file or a folder of them.

    A folder with files named train, validation and test is split so; anything else 80/10/10 by the
    seed. Raises DataError naming the file, row and column of what cannot be used.
    """
    spec = read_spec(columns)
    rows, splits = _read(data, spec, seed, SPLITS)
    for name in ("train", "validation"):
        if name not in splits:
            raise DataError(f"{data}: there are no rows to call {name}")
    if not rows.lengths[splits["train"]].any():
        raise DataError(f"{data}: the training rows hold no token")
    signature = fit(spec, rows, splits["train"])
    return DatasetTask(spec, signature, encode(rows, signature), splits)


def load_split(
    data: Path, columns: Path, seed: int, split: str, signature: Signature
) -> DatasetTask:
    """A task whose only test is one split, or ``all`` rows, as a trained model reads them.

    Raises DataError as `load_dataset` does, and where the rows do not fit the signature.
    """
    spec = read_spec(columns)
    rows, splits = _read(data, spec, seed, SPLITS if split == "all" else (split,))
    every = torch.arange(len(rows.lengths))
    chosen = every if split == "all" else splits.get(split, every[:0])
    if not len(chosen):
        raise DataError(f"{data}: there are no rows to call {split}")
    return DatasetTask(spec, signature, encode(rows, signature), {"train": chosen, "test": chosen})


def _read(
    data: Path, spec: DatasetSpec, seed: int, wanted: Sequence[str]
) -> tuple[Rows, dict[str, Tensor]]:
    """All rows, and the numbers of those of each split that has any."""
    found = {path.stem: path for path in _readable(data)}
    named = {name: found[name] for name in SPLITS if name in found}
    if not named:
        rows = read_files(_files(data), spec)
        splits = _divide(len(rows.lengths), seed)
    else:
        _refuse_strangers(data)
        named = {name: path for name, path in named.items() if name in wanted}
        if not named:
            raise DataError(f"{data}: there is no file of the {wanted[0]} rows")
        rows = read_files(list(named.values()), spec)
        splits, start = {}, 0
        for name, (_, count) in zip(named, rows.at.files, strict=True):
            splits[name] = torch.arange(start, start + count)
            start += count
    return rows, {name: numbers for name, numbers in splits.items() if len(numbers)}


def _refuse_strangers(data: Path) -> None:
    """Beside the files of splits any other would go unread, and of two of a split one."""
    seen: set[str] = set()
    for path in _readable(data):
        if path.stem not in SPLITS or path.stem in seen:
            raise DataError(f"{path}: beside files named as splits it must be one: {SPLITS}")
        seen.add(path.stem)


def _readable(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix in FORMATS)


def _files(data: Path) -> list[Path]:
    if data.is_file() and data.suffix in FORMATS:
        return [data]
    found = _readable(data)
    if not found:
        known = ", ".join(FORMATS)
        raise DataError(f"{data}: {f'no data in it ({known})' if data.exists() else 'not there'}")
    return found


def _divide(count: int, seed: int) -> dict[str, Tensor]:
    """80/10/10 of the rows by chance; a row keeps its part when others are added after it.

    Of a few rows one at least is there to validate and one to test with.
    """
    drawn = np.random.default_rng(seed).random(count)
    parts = np.digitize(drawn, (0.1, 0.2))
    for part in (0, 1):
        if not (parts == part).any() and count > 2:
            parts[np.argsort(drawn)[part]] = part
    names = ("test", "validation", "train")
    return {name: torch.from_numpy(np.flatnonzero(parts == i)) for i, name in enumerate(names)}
