"""A bundle's variants in lower precision, each with what it costs, measured; bad ones are refused.

What counts is the task's own score on validation data. A model that was trained on data of its
owner's has none here: then only the error of its outputs is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Literal

import numpy as np
import torch

from export.precision import PrecisionError, half, integer
from models.checkpoint import Card
from models.tasks import TASKS, load_task
from models.tasks.task import Task
from service.bundle import Bundle
from service.errors import SumserveError
from service.graph import Graph, Options
from service.manifest import Variant
from service.pack import Array, Pack
from service.session import Session
from service.verification import allowed, answers, largest_error, resample

Name = Literal["fp16", "int8"]
MOST_DROP, MOST_SHARE = 0.005, 0.05  # of the score: the larger of the two may be lost
CALIBRATION, TIMED, ROUNDS = [64] * 64, [256] * 64, 7
SERIES = (1, 3, 10, 32, 100, 316, 1_000, 3_162, 10_000, 31_623, 100_000)


class VariantError(SumserveError):
    """A variant is too much worse than float32, or cannot be made."""


class Recording(Graph):
    """A graph that remembers its inputs."""

    def __init__(self, bundle: Bundle, file: str, options: Options) -> None:
        super().__init__(bundle, file, options)
        self.recorded: list[dict[str, Array]] = []

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """As it is, and remember."""
        self.recorded.append({name: feeds[name] for name in self.reads})
        return super().run(feeds)


@dataclass(frozen=True, slots=True)
class Variants:
    """Makes variants of a bundle whose float32 graphs are written and sealed."""

    bundle: Bundle
    card: Card
    session: Session
    usual: Pack

    @classmethod
    def of(cls, bundle: Bundle, card: Card) -> Variants:
        """Ready to make some."""
        golden = bundle.golden()
        usual = golden.pack.take(np.flatnonzero(golden.usual))
        return cls(bundle, card, Session(bundle, Options()), usual)

    def write(self, name: Name) -> tuple[str, ...]:
        """Write the variant's graphs into the folder -> a file per stage, its own or float32's."""
        recorded = self._recorded() if name == "int8" else []
        files = []
        for i, stage in enumerate(self.bundle.manifest.stages):
            data = self.bundle.read(stage.file)
            try:
                made = half(data) if name == "fp16" else integer(data, recorded[i])
            except PrecisionError as error:
                raise VariantError(f"{name}: {stage.file}: {error}") from error
            file = stage.file if made == data else stage.file.replace(".onnx", f".{name}.onnx")
            (self.bundle.folder / file).write_bytes(made)
            files.append(file)
        if files == [stage.file for stage in self.bundle.manifest.stages]:
            raise VariantError(f"{self.card.name}: {name}: no product of tokens is wide enough")
        return tuple(files)

    def measured(self, name: Name, sealed: Bundle, files: Sequence[str]) -> Variant:
        """What the variant is like; ``sealed`` is the bundle that has it already."""
        session = Session(sealed, Options(variant=name))
        error = largest_error(answers(session, self.usual), answers(self.session, self.usual))
        if not np.isfinite(error):
            raise VariantError(f"{self.card.name}: {name}: answers are not finite")
        return Variant(
            name=name,
            files=tuple(files),
            size=sum((sealed.folder / file).stat().st_size for file in files),
            error=error,
            by_length={n: self._error_at(n, session) for n in self._lengths()},
            figures=self._figures(session),
            figures_fp32=self._figures(self.session),
            speed=self._speed(session),
        )

    def _lengths(self) -> list[int]:
        own = self.bundle.manifest
        return [n for n in SERIES if own.min_length <= n <= (own.max_length or n)]

    def _error_at(self, n: int, session: Session) -> float:
        pack = resample(self.usual, [n], np.random.default_rng(n))
        return largest_error(answers(session, pack), answers(self.session, pack))

    def _recorded(self) -> list[list[dict[str, Array]]]:
        """What every stage reads on usual tokens."""
        session = Session(self.bundle, Options(), Recording)
        session.run(self._drawn(CALIBRATION))
        return [graph.recorded for graph in session.graphs if isinstance(graph, Recording)]

    def too_bad(self, variant: Variant) -> str | None:
        """Why a variant is not to be used unless forced, or None."""
        task = self._task()
        if task is None:
            return None
        own, other = task.score(variant.figures_fp32), task.score(variant.figures)
        most = max(MOST_DROP, MOST_SHARE * abs(own))
        if own - other <= most:
            return None
        return (
            f"{variant.name}: the score falls from {own:.4g} to {other:.4g}, more than {most:.2g}"
        )

    def _task(self) -> Task | None:
        known = self.card.task in TASKS
        return load_task(self.card.task or "", self.card.options) if known else None

    def _figures(self, session: Session) -> dict[str, float]:
        """The task's figures on validation data."""
        task = self._task()
        if task is None:
            return {}
        batch = task.validation()
        columns = {name: values.numpy() for name, values in batch.pack.columns.items()}
        context = {name: values.numpy() for name, values in batch.pack.context.items()}
        found = session.run(Pack(columns, batch.pack.lengths.numpy(), context))
        outputs = {name: torch.from_numpy(rows) for name, rows in found.items()}
        return task.figures(outputs, batch)

    def _speed(self, session: Session) -> float:
        """How many times float32's it is: the median of alternated rounds."""
        pack = self._drawn(TIMED)
        ratios = []
        for _ in range(ROUNDS):
            own, other = _seconds(self.session, pack), _seconds(session, pack)
            ratios.append(own / other)
        return round(median(ratios[1:]), 2)

    def _drawn(self, lengths: list[int]) -> Pack:
        return resample(
            self.usual, allowed(self.bundle.manifest, lengths), np.random.default_rng(0)
        )


def unmeasured(name: Name, files: Sequence[str]) -> Variant:
    """A variant to be opened before anything is known of it."""
    return Variant(name=name, files=tuple(files), size=1, error=0.0, speed=1.0)


def _seconds(session: Session, pack: Pack) -> float:
    begun = perf_counter()
    session.run(pack)
    return perf_counter() - begun
