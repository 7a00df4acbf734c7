from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import prometheus_client
from prometheus_client import CollectorRegistry, generate_latest

from service.families import KEEP_SECONDS, Families


class Page:
    """What families say, with a clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now, self.registry = 0.0, CollectorRegistry()
        self.families = Families(lambda: self.now)
        self.registry.register(self.families)

    @property
    def text(self) -> str:
        return generate_latest(self.registry).decode()

    def requests(self) -> float | None:
        labels = {"model": "a", "version": "1"}
        return self.registry.get_sample_value("sumserve_requests_total", labels)


def test_a_histogram_says_what_prometheus_client_s_own_would() -> None:
    page, bounds = Page(), (0.001, 0.25, 1.0, 1e6)
    theirs = CollectorRegistry()
    other = prometheus_client.Histogram("sumserve_s", "time", buckets=bounds, registry=theirs)
    values = [*bounds, 0.0, -1.0, 1e9, *np.random.default_rng(0).exponential(1, 100)]
    own = page.families.histogram("s", "time", bounds, ())()
    for value in values:
        own.observe(float(value))
        other.observe(float(value))
    assert lines(page.text) == lines(generate_latest(theirs).decode())


def lines(text: str) -> Sequence[str]:
    return [line for line in text.splitlines() if "_created" not in line]


def test_what_a_model_has_counted_is_forgotten_once_it_has_been_gone_for_long() -> None:
    page = Page()
    requests = page.families.counter("requests", "requests", "code")
    seconds = page.families.histogram("seconds", "seconds", (1.0,))
    lag = page.families.histogram("lag", "lag", (1.0,), ())
    lag().observe(0.5)
    for model in ("a", "1"), ("b", "1"), ("", ""):
        requests(*model, 200).inc()
        seconds(*model).observe(0.5)
    for page.now in (0.0, KEEP_SECONDS - 1):
        page.families.see({("a", "1")})
        assert 'model="b"' in page.text
    page.now = KEEP_SECONDS
    page.families.see({("a", "1")})
    assert 'model="b"' not in page.text
    assert 'sumserve_requests_total{code="200",model="a",version="1"} 1.0' in page.text
    assert 'sumserve_requests_total{code="200",model="",version=""} 1.0' in page.text
    assert "sumserve_lag_count 1.0" in page.text


def test_a_model_that_comes_back_in_time_goes_on_counting() -> None:
    page = Page()
    requests = page.families.counter("requests", "requests")
    requests("a", "1").inc()
    for page.now, known in ((0.0, set()), (500.0, {("a", "1")}), (900.0, set())):
        page.families.see(known)
    requests("a", "1").inc()
    assert page.requests() == 2


def test_a_forgotten_model_begins_anew() -> None:
    page = Page()
    requests = page.families.counter("requests", "requests")
    requests("a", "1").inc(5)
    page.families.see(set())
    page.now = KEEP_SECONDS
    page.families.see(set())
    assert page.requests() is None
    requests("a", "1").inc()
    assert page.requests() == 1
