"""The charts live on /metrics while the page is seen, and no longer."""

from __future__ import annotations

import re

import httpx
from playwright.sync_api import Browser, expect

from benchmarks.process import ServerProcess
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
    with visiting(browser, server.url, forgiven=("/metrics", "/explain")) as visit:
        expect(visit.page.locator("#state")).to_have_text("ready")
        visit.page.route("**/metrics", lambda route: route.fulfill(status=503, json={}))
        expect(visit.page.locator("#state")).to_have_text("not reached")
