"""How inputs drift: what a model's columns hold, in sums that Prometheus can go on adding.

Values are counted in units of the bundle's own golden inputs: how many of their spreads each lies
from their mean. So sums stay small whatever the column's scale (a variance of seconds since 1970
as a difference of large squares would be all rounding), mean the same in every worker and after
every restart, and add up over both, which Welford's means and spreads do not.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import prod

import numpy as np
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from service.catalog import Catalog, Served
from service.columns import Column, ContextColumn, IdsColumn, TimeColumn
from service.families import KEEP_SECONDS, MODEL
from service.pack import Array, Pack

PAUSE = 0.005  # seconds between two looks at a version's inputs: bounds how many there are
REST = 20.0  # times what a look took, if that is longer: bounds what they take in all
FAR = 100.0  # spreads: what lies further off counts as so far, that one value outweigh no others
MOST_COMPONENTS = 16  # of a vector that are counted apart; wider ones are counted as one
UNIT_TOKENS = 4096  # of the golden inputs that are looked at
LABELS = (*MODEL, "column", "component")
COUNTED = {
    "values": "values that were looked at and are there",
    "missing": "values that were looked at and are missing",
    "unknown": "ids that were looked at and are none of the model's",
    "above": "sum of how far values above the golden inputs' mean lie from it, in their spreads",
    "below": "sum of how far values below the golden inputs' mean lie from it, in their spreads",
    "squares": "sum of the squares of both",
    "far": f"values that lie further off than {FAR:g} spreads, and count as so far",
}
ROWS = {name: row for row, name in enumerate(COUNTED)}

log = logging.getLogger("sumserve.drift")


@dataclass(frozen=True, slots=True)
class Unit:
    """Of each of W components: mean and spread of a column's golden values, (W,) each."""

    mean: Array
    spread: Array

    @classmethod
    def of(cls, values: Array) -> Unit:
        """Of values (n, W), NaN where there is none; where they say nothing, of 0 and 1."""
        there = np.isfinite(values)
        count = np.maximum(there.sum(0), 1)
        mean = np.where(there, values, 0.0).sum(0) / count
        spread = np.sqrt((np.where(there, values - mean, 0.0) ** 2).sum(0) / count)
        tells = spread > 1e-9 * np.abs(mean)
        return cls(mean, np.where(tells, spread, np.maximum(np.abs(mean), 1.0)))


class Sums:
    """Of one column's components since the server started: (what is COUNTED, W) float64."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.counts = np.zeros((len(COUNTED), len(unit.mean)))

    def add(self, values: Array, unknown: int) -> None:
        """Values (n, W), NaN where there is none; of them so many because an id is unknown."""
        z = (values - self.unit.mean) / self.unit.spread
        squares = np.einsum("nw,nw->w", z, z)
        count, far = np.full(len(squares), float(len(z))), np.zeros(len(squares))
        if not squares.max(initial=0.0) < FAR * FAR:  # some value may be far, or is none
            there = np.isfinite(z)
            far, count = (np.abs(z) > FAR).sum(0), there.sum(0)
            z = np.where(there, z, 0.0).clip(-FAR, FAR)
            squares = np.einsum("nw,nw->w", z, z)
        above = np.maximum(z, 0.0).sum(0)
        below = np.maximum(above - z.sum(0), 0.0)
        missing = len(z) - count - unknown
        own = np.full(len(squares), float(unknown))
        self.counts += (count, missing, own, above, below, squares, far)


@dataclass(slots=True)
class Looked:
    """What was seen of a version since it was loaded. gone: since when it is served no more."""

    served: Served
    sums: dict[str, Sums] = field(default_factory=dict)
    due: float = 0.0  # when the next look may be
    failed: bool = False
    gone: float | None = None

    def add(self, pack: Pack, whole: bool, most: int, turn: int) -> None:
        """Look at some of the tokens, counted from that turn, and at some of the contexts."""
        own = self.served.manifest
        for column in (*own.columns, *own.context):
            context = column.name in pack.context
            if whole or not (context or isinstance(column, TimeColumn)):
                values, unknown = _values(column, pack, most, turn)
                if column.name not in self.sums:
                    self.sums[column.name] = Sums(_unit(column, self.served.usual, values.shape[1]))
                self.sums[column.name].add(values, unknown)


class Drift(Collector):
    """Of every version that is served. Lives on the event loop."""

    def __init__(
        self,
        most: int,
        catalog: Catalog | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """most: tokens of a pack that are looked at, evenly spread over it; 0: none ever; catalog:
        what is served; without it whatever is looked at.
        """
        self._most, self._catalog, self._clock, self._turn = most, catalog, clock, 0
        self._models: dict[tuple[str, str], Looked] = {}

    def look(self, served: Served, pack: Pack, whole: bool = True) -> None:
        """At some of the tokens and contexts that a model was asked about. Never raises: whoever
        asked has an answer.

        whole: not a piece of a sequence, whose context was seen and whose start is not there.
        """
        if not self._most or not self._is_served(served):
            return
        looked = self._looked(served)
        if (now := self._clock()) < looked.due:
            return
        self._turn += 1  # where the first token is taken from, lest a pattern be met in step
        try:
            looked.add(pack, whole, self._most, self._turn)
        except Exception:
            if not looked.failed:
                log.exception("inputs cannot be looked at", extra={"fields": {"model": served.id}})
            looked.failed = True
        ended = self._clock()
        looked.due = ended + max(PAUSE, REST * (ended - now))

    def _is_served(self, served: Served) -> bool:
        """Not so what was replaced, and still answers what it had begun."""
        own = served.manifest
        return self._catalog is None or self._catalog.versions(own.name).get(own.version) is served

    def _looked(self, served: Served) -> Looked:
        """What was seen of it. Sums of the one that was served before count in other units."""
        model = served.manifest.name, served.manifest.version
        found = self._models.get(model)
        if found is None or found.served is not served:
            found = self._models[model] = Looked(served)
        return found

    def _forget(self) -> None:
        """What has not been served for long; until then whoever scrapes has the last of it."""
        now = self._clock()
        for model, looked in [*self._models.items()]:
            if self._is_served(looked.served):
                looked.gone = None
            elif looked.gone is None:
                looked.gone = now
            elif now - looked.gone >= KEEP_SECONDS:
                del self._models[model]

    def collect(self) -> Iterator[Metric]:
        """Prometheus asks."""
        self._forget()
        for name, about in COUNTED.items():
            counter = CounterMetricFamily(f"sumserve_input_{name}", f"input: {about}", None, LABELS)
            for labels, sums, i in self._all():
                counter.add_metric(labels, float(sums.counts[ROWS[name], i]))
            yield counter
        units: dict[str, Callable[[Unit], Array]] = {
            "mean": lambda unit: unit.mean,
            "spread": lambda unit: unit.spread,
        }
        for name, read in units.items():
            about = f"the {name} of the golden inputs, in units of the column"
            gauge = GaugeMetricFamily(f"sumserve_input_golden_{name}", about, None, LABELS)
            for labels, sums, i in self._all():
                gauge.add_metric(labels, float(read(sums.unit)[i]))
            yield gauge

    def _all(self) -> Iterator[tuple[tuple[str, ...], Sums, int]]:
        """Every component of every column, and its labels."""
        for model, looked in self._models.items():
            for column, sums in looked.sums.items():
                count = len(sums.unit.mean)
                for i in range(count):
                    yield (*model, column, str(i) if count > 1 else ""), sums, i


def _some(rows: int, width: int, most: int, turn: int) -> slice:
    """Every so manieth of them, so that they are no more than that, and hold no more values than
    so many of MOST_COMPONENTS: but one at least, however wide.
    """
    most = min(most, max(1, most * MOST_COMPONENTS // max(1, width)))
    step = max(1, -(-rows // most))
    return slice(turn % step, None, step)


def _values(column: Column | ContextColumn, pack: Pack, most: int, turn: int) -> tuple[Array, int]:
    """Some values of a column, (n, W) float64, NaN where there is none; how many ids are unknown.

    Times count from their sequence's first, as models read them.
    """
    every = (pack.context if column.name in pack.context else pack.columns)[column.name]
    width = prod(every.shape[1:])
    some = _some(len(every), width, most, turn)
    rows = every[some]
    values, unknown = rows.astype(np.float64).reshape(len(rows), width), 0
    if isinstance(column, IdsColumn):
        strange = (rows < column.low) | (rows > column.high)
        values[strange], unknown = np.nan, int(strange.sum())
    elif isinstance(column, TimeColumn):
        tokens = np.arange(*some.indices(pack.tokens))
        owner = np.searchsorted(np.cumsum(pack.lengths), tokens, side="right")
        values = values - pack.first(column.name)[owner][:, None]
    if width > MOST_COMPONENTS:
        values = values.reshape(-1, 1)
    return values, unknown


def _unit(column: Column | ContextColumn, usual: Pack | None, width: int) -> Unit:
    """Of the golden inputs, where there are any."""
    if usual is None or not usual.tokens:
        return Unit(np.zeros(width), np.ones(width))
    return Unit.of(_values(column, usual, UNIT_TOKENS, 0)[0])
