"""Prometheus' own parser reads the page, and finds what happened."""

from __future__ import annotations

import re
from unittest.mock import patch
from urllib.parse import quote

from prometheus_client.parser import text_string_to_metric_families as parsed

from service.api import create_app
from service.application import Service
from service.bundle import Bundle
from service.catalog import Catalog, Served
from service.engine.engine import Engine
from service.engine.policy import Policy
from service.engine.scheduler import Scheduler
from service.errors import QueueFull
from service.graph import Options
from service.metrics import Metrics, one_page
from service.session import Session
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
    assert client.post("/v1/models/hostile{}/predict", json=GOOD).status_code == 404
    page = client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = samples(served)
    assert found["sumserve_requests_total", "vectors", "200"] == 1
    assert found["sumserve_requests_total", "vectors", "400"] == 1
    assert found["sumserve_requests_total", "", "404"] == 1
    assert found["sumserve_tokens_total", "vectors", "computed"] == 2
    names = ["step_tokens", "step_seconds", "request_seconds"]
    for name in [*names, *(f"{part}_seconds" for part in ("queue", "compute", "decode", "encode"))]:
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
    assert found["sumserve_expected_wait_seconds", "", ""] == 0
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


HOSTILE = ("a" * 5000, "x\n# HELP y", '"}', "%F0%9F%92%A9", "..%2F..", "vectors%00", "ids{}")


def test_no_label_has_a_value_that_a_client_has_chosen() -> None:
    served = service(max_in_flight_bytes=1, queue_requests=1)
    client = Client(create_app(served))
    client.get("/metrics")
    before = labels(served)
    for name in (quote(name, safe="%") for name in HOSTILE):
        headers = {"X-Request-Id": "h", "traceparent": name, "X-API-Key": "k", "Accept": "h/" + "x"}
        for path in (f"/v1/models/{name}", f"/v1/models/ids/versions/{name}", f"/v2/models/{name}"):
            client.post(f"{path}/predict", json=GOOD, headers=headers)
            client.post(f"{path}/stream", content=b"[[1, 2]]", headers=headers)
            client.request("PURGE", path, headers=headers)
    new = labels(served) - before
    assert {name for name, _ in new} <= {"model", "version", "code"}
    assert {value for name, value in new if name == "code"} <= {"400", "403", "404", "405", "415"}
    assert {value for name, value in new if name == "model"} <= {"", "ids"}


def labels(served: Service) -> set[tuple[str, str]]:
    """Every label and value on the page."""
    page = served.metrics.page().decode()
    samples = (one for family in parsed(page) for one in family.samples)
    return {pair for one in samples for pair in one.labels.items()}


def test_metrics_are_named_and_explained_as_prometheus_would_have_it() -> None:
    served = service(drift_tokens=8)
    create_app(served)  # streams have metrics of their own
    for family in parsed(served.metrics.page().decode()):
        assert family.documentation, family.name
        if family.name.startswith("process_") or family.name.endswith("_created"):
            continue
        assert family.name.startswith("sumserve_")
        assert not re.search(r"milli|micro|_ms\b|minute|kilo|mega|percent", family.name)
        for one in family.samples if family.type == "counter" else []:
            assert one.name.endswith(("_total", "_created")), one.name
        assert not (family.type == "gauge" and family.name.endswith("_total"))


def test_a_refusal_is_counted_by_its_reason() -> None:
    served = service(queue_requests=1)
    client = Client(create_app(served))
    app_errors = {"requests": QueueFull("full", 1, "requests"), "": QueueFull("full")}
    for error in app_errors.values():
        with patch.object(served.engine, "predict", side_effect=error):
            assert client.post("/v1/models/vectors/predict", json=GOOD).status_code == 429
    found = samples(served)
    assert found["sumserve_requests_total", "vectors", "429"] == 2
    assert found["sumserve_rejected_total", "vectors", "requests"] == 1
    assert {key[2] for key in found if key[0] == "sumserve_rejected_total"} == {"requests"}


def test_what_is_served_is_told_with_its_numbers_and_its_place(plain: Bundle) -> None:
    engine, catalog = Engine(Scheduler(64, 64), Policy(64)), Catalog({})
    catalog.add(Served(Session(plain, Options())))
    page = Metrics(engine, catalog).page().decode()
    info = dict(families(page)["sumserve_model_info"][0][1])
    assert info == {
        "model": "plain",
        "version": "1",
        "verification": plain.manifest.numerics,
        "device": "cpu",
        "variant": "fp32",
        "provider": "CPUExecutionProvider",
    }


def test_a_model_that_fails_its_golden_inputs_is_not_ready_and_the_others_are() -> None:
    served = service()
    served.readiness.failing["ids/3"] = "golden inputs"
    found = samples(served)
    assert found["sumserve_model_ready", "ids", ""] == 0
    assert found["sumserve_model_ready", "vectors", ""] == 1


def test_a_version_that_is_loaded_again_is_one_series() -> None:
    served = service()
    again = Served(served.catalog.find("ids").session, 7)
    served.engine.add(again.id, again.session)
    page = served.metrics.page().decode()
    every = [line.rpartition(" ")[0] for line in page.splitlines() if not line.startswith("#")]
    assert len(every) == len(set(every))


def test_memory_that_is_held_is_told_as_it_is_when_one_scrapes() -> None:
    served = service(max_in_flight_bytes=1000)
    create_app(served)
    with served.bodies.holding() as held:
        held.take(300)
        assert samples(served)["sumserve_in_flight_bytes", "", ""] == 300
    found = samples(served)
    assert found["sumserve_in_flight_bytes", "", ""] == 0
    assert found["sumserve_in_flight_limit_bytes", "", ""] == 1000
    assert found["sumserve_open_streams", "", ""] == found["sumserve_spool_bytes", "", ""] == 0
    assert found["sumserve_peak_resident_memory_bytes", "", ""] > 2**20
    assert found["process_resident_memory_bytes", "", ""] > 2**20
