"""The charts live on /metrics while the page is seen, and no longer."""

from __future__ import annotations

import re
from itertools import cycle

import httpx
from playwright.sync_api import Browser, Locator, expect

from benchmarks.process import ServerProcess
from service.metrics import one_page
from tests.page.visit import Visit, visiting

TITLES = [
    "Requests",
    "Tokens",
    "Open",
    "Step size",
    "Queue",
    "Queue, expected",
    "Waiting, ms",
    "Computing, ms",
]


def polls(visit: Visit) -> list[str]:
    """Requests for metrics from now on."""
    found: list[str] = []
    visit.page.on("request", lambda r: found.append(r.url) if r.url.endswith("/metrics") else None)
    return found


def tick(visit: Visit) -> None:
    """Let the page read the metrics once more."""
    with visit.page.expect_response("**/metrics"):
        visit.page.clock.run_for(1100)


def test_every_chart_gets_points_once_a_second(browser: Browser, server: ServerProcess) -> None:
    url = f"{server.url}/v1/models/digit_sum/predict"
    with visiting(browser, server.url, clock=True) as visit:
        charts = visit.page.locator(".chart")
        expect(charts).to_have_count(len(TITLES))
        assert charts.locator("h3").all_inner_texts() == TITLES
        tick(visit)
        for _ in range(4):
            assert httpx.post(url, json={"sequences": [[1, 2, 3]]}).status_code == 200
            tick(visit)
        lines = charts.locator("path.line")
        expect(lines).to_have_count(len(TITLES) + 2)
        for line in lines.all():
            expect(line).to_have_attribute("d", re.compile(r"^M[\d.]+ [\d.]+L"))
        shown = dict(zip(TITLES, charts.locator(".value").all_inner_texts(), strict=True))
        assert float(shown["Requests"].removesuffix("per second")) > 0
        assert float(shown["Step size"].removesuffix("tokens, mean")) == 3


def test_a_hidden_page_asks_for_nothing(browser: Browser, server: ServerProcess) -> None:
    with visiting(browser, server.url, clock=True) as visit:
        tick(visit)
        tick(visit)
        asked = polls(visit)
        visit.page.evaluate(
            """() => {
              Object.defineProperty(document, "hidden", { configurable: true, value: true });
              document.dispatchEvent(new Event("visibilitychange"));
            }"""
        )
        visit.page.clock.run_for(20_000)
        assert asked == []
        visit.page.evaluate(
            """() => {
              delete document.hidden;
              document.dispatchEvent(new Event("visibilitychange"));
            }"""
        )
        tick(visit)
        assert asked


def test_the_charts_can_be_paused(browser: Browser, server: ServerProcess) -> None:
    with visiting(browser, server.url, clock=True) as visit:
        tick(visit)
        pause = visit.page.get_by_role("button", name="Pause")
        pause.click()
        expect(pause).to_have_attribute("aria-pressed", "true")
        asked = polls(visit)
        visit.page.clock.run_for(9_000)
        assert asked == []
        pause.click()
        tick(visit)
        assert asked


def test_the_state_of_the_server_is_said(browser: Browser, server: ServerProcess) -> None:
    with visiting(browser, server.url, forgiven=("/metrics",)) as visit:
        state = visit.page.locator("#state")
        expect(state).to_have_text("ready")
        visit.page.route("**/metrics", lambda r: r.fulfill(status=503, json={"error": "draining"}))
        expect(state).to_have_text("answered 503")
        expect(state).to_have_attribute("title", "draining")
        visit.page.route("**/metrics", lambda route: route.abort("aborted"))
        expect(state).to_have_text("not reached")


def family(name: str, sample: str) -> str:
    """A page of one metric."""
    return f"# HELP {name} it\n# TYPE {name} untyped\n{name}{sample}\n"


def chart(visit: Visit, title: str) -> Locator:
    heading = visit.page.get_by_role("heading", name=title, exact=True)
    return visit.page.locator(".chart", has=heading)


def test_what_waits_is_done_when_the_last_worker_expects_to_be(
    browser: Browser, server: ServerProcess
) -> None:
    name = "sumserve_expected_wait_seconds"
    text = one_page({i: family(name, f" {seconds}") for i, seconds in enumerate((0.25, 1.5))})
    with visiting(browser, server.url, clock=True) as visit:
        visit.page.route("**/metrics", lambda route: route.fulfill(body=text))
        for _ in range(3):
            tick(visit)
        expect(chart(visit, "Queue, expected").locator(".value")).to_have_text("1,500ms until done")


def test_a_worker_that_misses_a_reading_has_not_gained_all_it_ever_counted(
    browser: Browser, server: ServerProcess
) -> None:
    counted = family("sumserve_requests_total", '{model="m"} 1000000')
    readings = cycle([one_page({0: counted, 1: counted}), one_page({0: counted, 1: None})])
    with visiting(browser, server.url, clock=True) as visit:
        visit.page.route("**/metrics", lambda route: route.fulfill(body=next(readings)))
        for _ in range(7):
            tick(visit)
        line = chart(visit, "Requests").locator("path.line")
        nothing = re.compile(r"^M[\d.]+ [\d.]+L[\d.]+ 40\.00(L[\d.]+ 40\.00){4,}$")
        expect(line).to_have_attribute("d", nothing)
