"""Manifests and sessions without weights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import numpy as np

from service.application import Service
from service.catalog import Catalog, Served
from service.engine.cost import Spent
from service.engine.engine import Engine
from service.engine.scheduler import Scheduler
from service.engine.starts import Runs
from service.errors import BundleError
from service.manifest import (
    Architecture,
    Column,
    IdsColumn,
    Manifest,
    NumericColumn,
    Output,
    TimeColumn,
    TokenStage,
    VectorColumn,
)
from service.pack import Array, Pack
from service.readiness import Readiness
from service.repository.folder import Folder
from service.repository.loading import Loaded
from service.repository.repository import Repository
from service.settings import Settings
from service.streams.walk import Walk
from service.wires.validation import Limits


def manifest(
    name: str,
    width: int = 2,
    ids: tuple[int, int] | None = None,
    per: Literal["token", "sequence"] = "sequence",
    labels: tuple[str, ...] | None = None,
    lengths: tuple[int, int | None] = (0, None),
) -> Manifest:
    """A manifest of no files."""
    column: Column = VectorColumn(name="x", width=width)
    if ids:
        column = IdsColumn(name="x", low=ids[0], high=ids[1])
    return Manifest(
        name=name,
        version="3",
        architecture=Architecture(name="fake", parameters=0, layers=0),
        columns=(column,),
        outputs=(Output(name="y", per=per, width=len(labels or "1"), labels=labels),),
        equivariant=True,
        positional=False,
        min_length=lengths[0],
        max_length=lengths[1],
        trained_lengths=None,
        stages=(TokenStage(file="none.onnx"),),
        opset=20,
        tolerance=1e-5,
        files={},
    )


def events() -> Manifest:
    """A manifest of every kind of column, with two outputs."""
    columns = (
        NumericColumn(name="amount", missing=True),
        IdsColumn(name="kind", low=0, high=2, unknown=True, labels=("buy", "sell", "hold")),
        IdsColumn(name="code", low=-1, high=1),
        TimeColumn(name="time"),
        VectorColumn(name="where", width=2),
    )
    context = (
        NumericColumn(name="age"),
        IdsColumn(name="land", low=0, high=1, labels=("ch", "pt")),
        VectorColumn(name="home", width=2),
    )
    outputs = (
        Output(name="y", per="token", width=2),
        Output(name="risk", per="sequence", width=2, labels=("low", "high")),
    )
    changed = {"columns": columns, "context": context, "outputs": outputs}
    return manifest("events").model_copy(update=changed)


class BitByBit:
    """A session's run of a pack, so many tokens at a time, and up to six more."""

    def __init__(self, session: Runs, pack: Pack) -> None:
        self._session, self._pack, self._left = session, pack, float(pack.tokens)
        self.done, self._ran = False, 0

    def advance(self, tokens: float = math.inf) -> int:
        ran = self._left if tokens == math.inf else min(-(-tokens // 7) * 7, self._left)
        self._left -= ran
        self.done = not self._left
        self._ran += int(ran)
        return int(ran)

    def spent(self) -> Spent:
        ran, self._ran = self._ran, 0
        return [(ran, ran * 1e-6)]

    @property
    def outputs(self) -> dict[str, Array]:
        assert self.done
        return self._session.run(self._pack)


class Summing:
    """Answers each sequence with the sum of its tokens; with labels, logits (sum, 0)."""

    def __init__(self, described: Manifest) -> None:
        self.manifest = described

    def run(self, pack: Pack) -> dict[str, Array]:
        totals = [float(part.sum(dtype=np.float64)) for part in pack.split(pack.columns["x"])]
        columns = 2 if self.manifest.outputs[0].labels else 1
        rows = np.zeros((len(totals), columns), np.float32)
        with np.errstate(over="ignore"):
            rows[:, 0] = totals
        return {"y": rows}

    def start(self, pack: Pack) -> BitByBit:
        return BitByBit(self, pack)

    def stop(self, now: bool = True) -> None:
        """It never takes long."""

    def walk(self) -> Walk:
        raise NotImplementedError

    def omissions(self, pack: Pack, most: int) -> None:
        """It is run again."""


MANIFESTS = {
    "vectors": manifest("vectors", lengths=(1, 50)),
    "ids": manifest("ids", ids=(1, 9)),
    "labelled": manifest("labelled", labels=("yes", "no")),
}
EVENTS = events()
LIMITS = Limits(tokens=100, sequences=50, tensors=16, json_depth=16)


class Nothing:
    """Loads no bundles."""

    def now(self, folder: Path) -> Loaded:
        raise BundleError(f"{folder}: not there")

    async def meanwhile(self, folder: Path) -> Loaded:
        return self.now(folder)


def service(**settings: object) -> Service:
    """A service over fake sessions."""
    chosen = Settings.model_validate(settings)
    readiness = Readiness()
    scheduler = Scheduler(chosen.step_tokens, chosen.long_tokens)
    engine, catalog = Engine(scheduler, chosen.policy(), readiness), Catalog(readiness.failing)
    for own in MANIFESTS.values():
        served = Served(Summing(own))
        catalog.add(served)
        engine.add(served.id, served.session)
    repository = Repository(Folder(Path("nowhere")), catalog, engine, Nothing())
    return Service(chosen, catalog, engine, readiness, repository)
