"""Prometheus' own parser reads the page, and finds what happened."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families as parsed

from service.api import create_app
from service.application import Service
from service.metrics import one_page
from tests.service.client import Client
from tests.service.fakes import service

GOOD = {"sequences": [[[1, 2], [3, 4]]]}


def samples(served: Service) -> dict[tuple[str, str, str], float]:
    """(name, model, what else labels say) -> value."""
    found = {}
    for family in parsed(served.metrics.page().decode()):
        for one in family.samples:
            others = [v for k, v in one.labels.items() if k not in ("model", "version", "le")]
            if "le" not in one.labels:
                found[one.name, one.labels.get("model", ""), "".join(others)] = one.value
    return found


def test_requests_tokens_steps_and_times_are_counted() -> None:
    served = service()
    client = Client(create_app(served))
    served.readiness.started = True
    assert client.post("/v1/models/vectors/predict", json=GOOD).status_code == 200
    assert client.post("/v1/models/vectors/predict", json={}).status_code == 400
    assert client.post("/v1/models/hostile%0A{}/predict", json=GOOD).status_code == 404
    page = client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = samples(served)
    assert found["sumserve_requests_total", "vectors", "200"] == 1
    assert found["sumserve_requests_total", "vectors", "400"] == 1
    assert found["sumserve_requests_total", "", "404"] == 1
    assert found["sumserve_tokens_total", "vectors", "computed"] == 2
    for name in ("step_tokens", "step_seconds", "queue_seconds", "compute_seconds"):
        assert found[f"sumserve_{name}_count", "vectors", ""] == 1
    assert found["sumserve_step_tokens_sum", "vectors", ""] == 2


def test_what_is_so_now_is_asked_when_one_scrapes() -> None:
    served = service()
    found = samples(served)
    assert found["sumserve_ready", "", ""] == 0
    served.readiness.started = True
    found = samples(served)
    assert found["sumserve_ready", "", ""] == 1
    assert found["sumserve_open_requests", "", ""] == 0
    assert found["sumserve_queued_milliseconds", "", ""] == 0
    assert found["sumserve_queued_tokens", "ids", ""] == 0
    slope, start = served.engine.costs["ids/3"].steps.line
    assert found["sumserve_cost_seconds_per_token", "ids", "all"] == slope
    assert found["sumserve_cost_seconds_per_step", "ids", "all"] == start
    assert ("sumserve_cost_seconds_per_token", "ids", "0") in found


def test_abandoned_tokens_are_counted() -> None:
    served = service()
    served.metrics.abandoned("ids/3", 7)
    assert samples(served)["sumserve_tokens_total", "ids", "abandoned"] == 7


def families(page: str) -> dict[str, list[tuple[str, dict[str, str], float]]]:
    """Name -> samples; a family that comes twice is a mistake."""
    found = {}
    for family in parsed(page):
        assert family.name not in found
        found[family.name] = [(one.name, one.labels, one.value) for one in family.samples]
    return found


def test_the_pages_of_several_workers_are_one_page_with_each_family_once() -> None:
    pages = {}
    for worker in 0, 1, 2:
        served = service()
        for _ in range(worker + 1):
            served.metrics.request("ids", "3", 200)
            served.metrics.request('odd "{} =\n # HELP \u2028', "", 404)
        pages[worker] = served.metrics.page().decode()
    page = one_page({**pages, 7: None})
    heads = [line for line in page.splitlines() if line.startswith("# HELP ")]
    assert len(heads) == len(set(heads))
    together = families(page)
    up = [(one[1]["worker"], one[2]) for one in together.pop("sumserve_worker_up")]
    assert up == [("0", 1), ("1", 1), ("2", 1), ("7", 0)]
    apart = {
        name: [
            (sample, {"worker": str(worker), **labels}, value)
            for worker, own in pages.items()
            for sample, labels, value in families(own)[name]
        ]
        for name in families(pages[0])
    }
    assert together == apart
