"""Looks at inputs are of the version that is served, harm no answer, and take little time."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from service import drift as module
from service.api import create_app
from service.catalog import Catalog, Served
from service.drift import MOST_COMPONENTS, PAUSE, REST, Drift
from service.families import KEEP_SECONDS
from service.manifest import NumericColumn, VectorColumn
from tests.service.client import Client
from tests.service.fakes import service
from tests.service.test_drift import Page, looking, numbers, of, served, single

X = of(NumericColumn(name="x"))


def vectors(width: int, mean: float = 0.0) -> Served:
    usual = single("v", np.full((4, width), mean))
    return served(of(VectorColumn(name="v", width=width)), usual)


def catalog(*models: Served) -> Catalog:
    found = Catalog({})
    for own in models:
        found.add(own)
    return found


def samples(drift: Drift) -> int:
    return sum(len(family.samples) for family in drift.collect())


def test_a_version_that_is_loaded_again_is_counted_anew_in_its_own_units() -> None:
    old, new = vectors(2, 10.0), vectors(3, 1000.0)
    known = catalog(old)
    drift = looking(100, known)
    drift.look(old, single("v", np.ones((5, 2))))
    known.add(new)
    drift.look(new, single("v", np.full((4, 3), 1001.0)))
    page = Page([drift])
    assert [page.sum("values_total", "v", str(i)) for i in range(3)] == [4, 4, 4]
    assert page.sum("golden_mean", "v", "0") == 1000


def test_what_was_replaced_and_still_answers_is_not_counted_in_the_units_of_the_new() -> None:
    old, new = vectors(2), vectors(3)
    known = catalog(old)
    drift = looking(100, known)
    known.add(new)
    drift.look(new, single("v", np.ones((4, 3))))
    drift.look(old, single("v", np.ones((5, 2))))
    assert Page([drift]).sum("values_total", "v", "0") == 4


def test_a_look_that_fails_is_logged_once_and_harms_no_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*about: object) -> None:
        raise ValueError("no look")

    monkeypatch.setattr(module, "_values", fail)
    client = Client(create_app(service(drift_tokens=8)))
    body = {"sequences": [[[1, 2], [3, 4]]]}
    assert client.post("/v1/models/vectors/predict", json=body).status_code == 200
    drift, model = looking(10), served(X)
    with caplog.at_level(logging.ERROR, "sumserve.drift"):
        caplog.clear()
        for _ in range(3):
            drift.look(model, numbers("x", np.ones(3)))
    assert [own.getMessage() for own in caplog.records] == ["inputs cannot be looked at"]


@pytest.mark.parametrize("width", [1, MOST_COMPONENTS, 2 * MOST_COMPONENTS, 4096])
def test_no_more_values_are_looked_at_however_wide_a_vector_is(width: int) -> None:
    drift, most = looking(10), 10 * MOST_COMPONENTS
    drift.look(vectors(width), single("v", np.zeros((100, width), np.float32)))
    counted = next(family for family in drift.collect() if family.name == "sumserve_input_values")
    values = sum(sample.value for sample in counted.samples)
    assert 0 < values <= max(width, most)


@pytest.mark.parametrize("seconds", [0.0, 0.2])
def test_after_a_long_look_there_is_a_longer_rest(seconds: float) -> None:
    times: list[float] = []
    drift, model = Drift(10, None, lambda: times.pop(0)), served(X)
    rest = max(PAUSE, REST * seconds)

    def looks(*at: float) -> int:
        """How often the clock is asked: twice for a look, once where none is due."""
        times[:] = [*at, 0.0]
        drift.look(model, numbers("x", np.ones(3)))
        return len(at) + 1 - len(times)

    assert looks(7.0, 7.0 + seconds) == 2
    assert looks(7.0 + seconds + 0.9 * rest, 0.0) == 1
    assert looks(7.0 + seconds + 1.1 * rest, 60.0) == 2


def test_what_a_version_has_counted_is_forgotten_some_time_after_it() -> None:
    old, other = served(X), vectors(2)
    known = catalog(old)
    drift = looking(100, known)
    drift.look(old, numbers("x", np.ones(3)))
    known.remove(old)
    assert samples(drift)
    drift.now += KEEP_SECONDS - 1
    assert samples(drift)
    drift.now += 1
    assert not samples(drift)
    drift.look(other, single("v", np.ones((3, 2))))
    assert not samples(drift)


def test_what_is_served_is_never_forgotten() -> None:
    own = served(X)
    drift = looking(100, catalog(own))
    drift.look(own, numbers("x", np.ones(3)))
    for _ in range(3):
        drift.now += KEEP_SECONDS
        assert samples(drift)
