"""What the page says of inputs, read as PromQL would read it, beside numpy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from service.api import create_app
from service.catalog import Catalog, Served
from service.drift import FAR, MOST_COMPONENTS, PAUSE, Drift
from service.manifest import IdsColumn, Manifest, NumericColumn, TimeColumn, VectorColumn
from service.pack import Array, Pack
from tests.service.client import Client
from tests.service.fakes import EVENTS, Summing, manifest, service

RNG = np.random.default_rng(0)


class Looking(Drift):
    """Whose looks take no time, a second after each other."""

    step = 1.0

    def __init__(self, most: int, catalog: Catalog | None = None) -> None:
        self.now = 0.0
        super().__init__(most, catalog, lambda: self.now)

    def look(self, served: Served, pack: Pack, whole: bool = True) -> None:
        self.now += self.step
        super().look(served, pack, whole)


def looking(most: int, catalog: Catalog | None = None) -> Looking:
    return Looking(most, catalog)


def served(described: Manifest, usual: Pack | None = None) -> Served:
    return Served(Summing(described), 0, usual)


def of(*columns: Any, context: tuple[Any, ...] = ()) -> Manifest:
    return manifest("m").model_copy(update={"columns": columns, "context": context})


@dataclass
class Page:
    """Of one or more workers."""

    drifts: Sequence[Drift]

    def sum(self, name: str, column: str, component: str = "") -> float:
        """Of all workers."""
        labels = {"model": "m", "version": "3", "column": column, "component": component}
        found = 0.0
        for drift in self.drifts:
            registry = CollectorRegistry()
            registry.register(drift)
            value = registry.get_sample_value(f"sumserve_input_{name}", labels)
            assert value is not None, (name, labels)
            found += value
        return found

    def mean_and_spread(self, column: str, component: str = "") -> tuple[float, float]:
        """As the dashboard computes them, of sums alone."""
        where = column, component
        count = self.sum("values_total", *where)
        z = (self.sum("above_total", *where) - self.sum("below_total", *where)) / count
        square = self.sum("squares_total", *where) / count
        unit = self.sum("golden_spread", *where) / len(self.drifts)
        mean = self.sum("golden_mean", *where) / len(self.drifts) + unit * z
        return mean, unit * float(np.sqrt(square - z * z))


def single(name: str, values: Array, **context: Array) -> Pack:
    return Pack({name: values}, np.array([len(values)]), context)


def numbers(name: str, values: Array) -> Pack:
    return single(name, values.astype(np.float32))


def test_mean_and_spread_come_out_of_sums_of_workers_and_of_parts() -> None:
    values = RNG.normal(7, 3, 900)
    model = served(of(NumericColumn(name="x")), numbers("x", RNG.normal(5, 2, 100)))
    drifts = [looking(1000), looking(1000)]
    for i, part in enumerate(np.split(values, 9)):
        drifts[i % 2].look(model, numbers("x", part))
    mean, spread = Page(drifts).mean_and_spread("x")
    assert mean == pytest.approx(values.mean(), rel=1e-5)
    assert spread == pytest.approx(values.std(), rel=1e-4)


def test_a_small_spread_far_from_zero_is_not_lost() -> None:
    values = 1.7e9 + RNG.normal(0, 0.01, 5000)
    column = TimeColumn(name="t")
    usual = single("t", np.cumsum(RNG.exponential(1, 100)))
    drift, model = looking(10_000), served(of(column), usual)
    drift.look(model, single("t", values))
    mean, spread = Page([drift]).mean_and_spread("t")
    assert mean == pytest.approx((values - values[0]).mean(), rel=1e-6)
    assert spread == pytest.approx(values.std(), rel=1e-4)


def test_an_offset_of_the_golden_inputs_costs_no_digits() -> None:
    vector = VectorColumn(name="v", width=2)
    values = np.array([16_777_000.0, -16_777_000.0]) + RNG.normal(0, 1, (4000, 2)).round()
    drift = looking(10_000)
    drift.look(served(of(vector), single("v", values[:200])), single("v", values))
    for component in (0, 1):
        mean, spread = Page([drift]).mean_and_spread("v", str(component))
        assert mean == pytest.approx(values[:, component].mean(), abs=1e-3)
        assert spread == pytest.approx(values[:, component].std(), rel=1e-9)


def test_missing_numbers_and_unknown_ids_are_counted_apart() -> None:
    columns = (
        NumericColumn(name="n", missing=True),
        IdsColumn(name="i", low=1, high=3, unknown=True),
    )
    pack = Pack(
        {
            "n": np.array([1, np.nan, 3, np.nan, np.nan], np.float32),
            "i": np.array([1, 2, 0, 4, -(2**62)]),
        },
        np.array([2, 3]),
    )
    drift = looking(100)
    drift.look(served(of(*columns)), pack)
    page = Page([drift])
    counted = ("values_total", "missing_total", "unknown_total")
    assert [page.sum(what, "n") for what in counted] == [2, 3, 0]
    assert [page.sum(what, "i") for what in counted] == [2, 0, 3]
    assert page.mean_and_spread("i")[0] == 1.5


def test_times_count_from_the_start_of_their_sequence() -> None:
    drift = looking(100)
    times = np.array([100.0, 101, 103, 7000, 7002])
    drift.look(served(of(TimeColumn(name="t"))), Pack({"t": times}, np.array([3, 0, 2])))
    assert Page([drift]).mean_and_spread("t")[0] == pytest.approx(np.mean([0, 1, 3, 0, 2]))


def test_context_is_counted_by_sequence_and_not_of_pieces() -> None:
    model = served(of(NumericColumn(name="x"), context=(NumericColumn(name="age"),)))
    pack = Pack({"x": np.zeros(6, np.float32)}, np.array([4, 2]), {"age": np.array([30.0, 50.0])})
    drift = looking(100)
    drift.look(model, pack)
    drift.look(model, pack, whole=False)
    page = Page([drift])
    assert page.sum("values_total", "age") == 2
    assert page.sum("values_total", "x") == 12
    assert page.mean_and_spread("age") == (40, 10)


def test_no_more_than_so_many_tokens_are_looked_at_and_all_places_have_their_turn() -> None:
    model, drift = served(of(NumericColumn(name="x"))), looking(10)
    for _ in range(100):
        drift.look(model, numbers("x", np.arange(95)))
    page = Page([drift])
    assert page.sum("values_total", "x") <= 1000
    assert page.mean_and_spread("x")[0] == pytest.approx(47, abs=1)


def test_looks_have_a_pause_between_them_so_that_load_makes_them_no_dearer() -> None:
    drift, model = looking(10), served(of(NumericColumn(name="x")))
    drift.step = PAUSE / 2
    for value in (1.0, 50.0, 3.0):
        drift.look(model, numbers("x", np.array([value])))
    page = Page([drift])
    assert page.sum("values_total", "x") == 2
    assert page.mean_and_spread("x")[0] == 2


def test_one_value_out_of_all_bounds_leaves_the_others_their_say() -> None:
    model, drift = served(of(NumericColumn(name="x"))), looking(10_000)
    values = np.ones(5000)
    values[7] = -3e38
    drift.look(model, numbers("x", values))
    page = Page([drift])
    assert page.sum("far_total", "x") == 1
    assert page.sum("below_total", "x") == FAR
    assert page.sum("above_total", "x") == 4999


def test_sums_only_grow_as_counters_must() -> None:
    model, drift = served(of(NumericColumn(name="x"))), looking(100)
    names = [f"{name}_total" for name in ("values", "above", "below", "squares")]
    before = [0.0] * len(names)
    for _ in range(20):
        drift.look(model, numbers("x", RNG.normal(-3, 5, 50)))
        after = [Page([drift]).sum(name, "x") for name in names]
        assert all(b <= a for b, a in zip(before, after, strict=True))
        before = after


def test_a_wide_vector_is_one_component() -> None:
    drift, width = looking(100), MOST_COMPONENTS + 1
    drift.look(served(of(VectorColumn(name="v", width=width))), single("v", np.ones((3, width))))
    assert Page([drift]).sum("values_total", "v") == 3 * width


def test_a_column_that_is_always_the_same_has_a_unit_all_the_same() -> None:
    model = served(of(NumericColumn(name="x")), numbers("x", np.full(50, 20.0)))
    drift = looking(100)
    drift.look(model, numbers("x", np.array([20.0, 40.0])))
    assert Page([drift]).mean_and_spread("x") == (30, 10)


def test_what_has_no_golden_inputs_and_no_tokens_harms_nothing() -> None:
    drift = looking(100)
    drift.look(served(EVENTS), _empty())
    families = {family.name: family.samples for family in drift.collect()}
    assert all(sample.value == 0 for sample in families["sumserve_input_values"] if sample)


def _empty() -> Pack:
    columns = {
        own.name: np.zeros((0, *([own.width] if own.kind == "vector" else [])), own.dtype)
        for own in EVENTS.columns
    }
    context = {
        own.name: np.zeros((0, *([own.width] if own.kind == "vector" else [])), own.dtype)
        for own in EVENTS.context
    }
    return Pack(columns, np.zeros(0, np.int64), context)


@pytest.mark.parametrize("tokens", [0, 8])
def test_it_is_on_the_page_only_where_it_is_asked_for(tokens: int) -> None:
    own = service(drift_tokens=tokens)
    client = Client(create_app(own))
    body = json.dumps({"sequences": [[[1, 2], [3, 4]]]})
    headers = {"Content-Type": "application/json"}
    answer = client.post("/v1/models/vectors/predict", content=body, headers=headers)
    assert answer.status_code == 200
    page = own.metrics.page().decode()
    assert ("sumserve_input_values_total" in page) == bool(tokens)
    where = 'column="x",component="1",model="vectors",version="3"'
    assert (f"sumserve_input_values_total{{{where}}} 2.0" in page) == bool(tokens)
