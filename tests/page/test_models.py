"""The cards say what the server says of each version, and what lies there besides."""

from __future__ import annotations

from typing import Any

import httpx
from playwright.sync_api import Browser, Route, expect

from benchmarks.process import ServerProcess
from tests.page.visit import Visit, visiting

COST = {"us_per_token": 12.5, "ms_per_step": 3.0, "stages": []}
MADE = "#cards article, #model option, #tabs button, #tabs pre"  # anew, if anything changed
INDEX, MODELS = "**/v2/repository/index", "**/v1/models"
WHY = "bundle.json: <img src=x onerror=alert(1)> is no number"


def also(route: Route, entries: list[Any]) -> None:
    """The server's own answer, and more."""
    route.fulfill(json=[*route.fetch().json(), *entries])


def test_a_card_has_a_version_s_signature_limits_cost_and_digest(
    browser: Browser, server: ServerProcess
) -> None:
    models = httpx.get(f"{server.url}/v1/models").json()["models"]
    with visiting(browser, server.url) as visit:
        for model in models:
            card = visit.page.get_by_role("article", name=f"{model['name']}/{model['version']}")
            expect(card).to_contain_text(model["verification"])
            expect(card).to_contain_text(f"trained on {model['trained_lengths'][0]}")
            expect(card.get_by_text("default", exact=True)).to_be_visible()
            for column in (*model["columns"], *model["outputs"]):
                expect(card.locator("code").get_by_text(column["name"], exact=True)).to_be_visible()
            shown = card.inner_text()
            assert "per token + " in shown or "not learned yet" in shown


def learning(visit: Visit) -> None:
    """Let the page look again, and find that every version costs something else."""

    def learned(route: Route) -> None:
        models = route.fetch().json()["models"]
        route.fulfill(json={"models": [{**own, "cost": COST} for own in models]})

    visit.page.route(MODELS, learned)
    visit.page.clock.run_for(10_100)
    texts = ["12.5 µs per token + 3 ms per step"] * 3
    expect(visit.page.locator("#cards dd.costs")).to_have_text(texts)


def test_what_is_learned_of_costs_makes_nothing_anew(
    browser: Browser, server: ServerProcess
) -> None:
    with visiting(browser, server.url, clock=True) as visit:
        expect(visit.page.locator("#tabs pre")).to_have_count(1)
        made = visit.page.locator(MADE)
        before = made.count()
        made.evaluate_all("every => every.forEach((own) => (own.dataset.seen = ''))")
        learning(visit)
        assert visit.page.locator("[data-seen]").count() == before > 6


def test_a_cost_that_was_learned_meanwhile_stays_in_the_cards(
    browser: Browser, server: ServerProcess
) -> None:
    with visiting(browser, server.url, clock=True) as visit:
        expect(visit.page.locator("#cards article")).to_have_count(3)
        learning(visit)
        visit.page.get_by_role("button", name="Ask polynomial/1").click()
        chosen = visit.page.locator("#cards article.chosen")
        expect(chosen).to_have_attribute("aria-label", "polynomial/1")
        expect(chosen.locator("dd.costs")).to_have_text("12.5 µs per token + 3 ms per step")


def test_an_alias_and_an_older_version_are_shown_as_such(
    browser: Browser, server: ServerProcess
) -> None:
    def older(route: Route) -> None:
        (first, *others) = route.fetch().json()["models"]
        old = {**first, "version": "0", "default": False, "aliases": ["stable"]}
        route.fulfill(json={"models": [first, old, *others]})

    with visiting(browser, server.url) as visit:
        visit.page.route(MODELS, older)
        visit.page.reload()
        card = visit.page.get_by_role("article", name="digit_sum/0")
        expect(card.get_by_text("stable", exact=True)).to_be_visible()
        expect(card.get_by_text("default", exact=True)).to_have_count(0)
        card.get_by_role("button").click()
        expect(visit.page.locator("#tab-panel code")).to_contain_text("/versions/0/predict")


def test_what_is_not_served_is_listed_with_the_reason_as_text(
    browser: Browser, server: ServerProcess
) -> None:
    bad = {"name": "digits", "version": "7", "state": "UNAVAILABLE", "reason": WHY}
    with visiting(browser, server.url) as visit:
        visit.page.route(INDEX, lambda route: also(route, [bad]))
        visit.page.reload()
        rows = visit.page.locator("#elsewhere tbody tr")
        expect(rows).to_have_count(1)
        assert rows.first.inner_text().split("\t") == ["digits/7", "unavailable", WHY]
        expect(visit.page.locator("#elsewhere img")).to_have_count(0)


def test_a_version_that_fails_its_golden_inputs_says_so(
    browser: Browser, server: ServerProcess
) -> None:
    failing = {"name": "digits", "version": "1", "state": "UNAVAILABLE", "reason": "golden"}
    with visiting(browser, server.url) as visit:
        visit.page.route(INDEX, lambda route: also(route, [failing]))
        visit.page.reload()
        card = visit.page.get_by_role("article", name="digits/1")
        expect(card.get_by_text("unavailable", exact=True)).to_be_visible()
        expect(visit.page.locator("#elsewhere table")).to_have_count(0)


def test_the_draw_section_is_there_only_where_digits_is(
    browser: Browser, server: ServerProcess
) -> None:
    def without(route: Route) -> None:
        models = route.fetch().json()["models"]
        route.fulfill(json={"models": [own for own in models if own["name"] != "digits"]})

    with visiting(browser, server.url) as visit:
        expect(visit.page.locator("#draw")).to_be_visible()
        visit.page.route(MODELS, without)
        visit.page.reload()
        expect(visit.page.locator("#cards article")).to_have_count(2)
        expect(visit.page.locator("#draw")).to_be_hidden()
