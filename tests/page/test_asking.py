"""Whatever comes of a question is said, and an answer is shown where it was asked for only."""

from __future__ import annotations

import time

from playwright.sync_api import Browser, Page, Route, expect

from benchmarks.process import ServerProcess
from tests.page.test_files import choose, send
from tests.page.visit import SECONDS, visiting


def held(page: Page) -> Route:
    """Send a file, and keep the question from reaching the server."""
    found: list[Route] = []
    page.route("**/predict", lambda route: found.append(route), times=1)
    send(page, "slow.csv", b"digits\n9\n9\n9\n")
    deadline = time.monotonic() + SECONDS
    while not found and time.monotonic() < deadline:
        page.evaluate("document.readyState")
    return found[0]


def release(page: Page, route: Route) -> None:
    """Let the server answer, and the page have read that."""
    with page.expect_event("requestfinished", lambda asked: asked.url.endswith("/predict")):
        route.continue_()
    page.evaluate("async () => (await fetch('v2')).json()")


def test_an_error_that_nobody_foresaw_is_said(browser: Browser, server: ServerProcess) -> None:
    with visiting(browser, server.url) as visit:
        choose(visit.page, "digit_sum/1")
        visit.page.route("**/predict", lambda route: route.fulfill(body="no JSON"))
        visit.page.get_by_role("button", name="Ask with the example").click()
        asked = visit.page.locator("#asked")
        expect(asked).to_contain_text("The example: this went wrong in the page: ")
        expect(asked).to_have_class("bad")


def test_a_slow_answer_does_not_take_the_place_of_a_later_one(
    browser: Browser, server: ServerProcess
) -> None:
    with visiting(browser, server.url) as visit:
        choose(visit.page, "digit_sum/1")
        slow = held(visit.page)
        visit.page.get_by_role("button", name="Ask with the example").click()
        expect(visit.page.locator("#asked")).to_contain_text("The example: 2 sequences, 5 tokens")
        release(visit.page, slow)
        expect(visit.page.locator("#asked")).to_contain_text("The example: 2 sequences, 5 tokens")
        expect(visit.page.locator("#answer tbody tr")).to_have_count(2)


def test_an_answer_is_not_shown_under_a_model_that_was_chosen_meanwhile(
    browser: Browser, server: ServerProcess
) -> None:
    with visiting(browser, server.url) as visit:
        choose(visit.page, "digit_sum/1")
        slow = held(visit.page)
        choose(visit.page, "polynomial/1")
        release(visit.page, slow)
        expect(visit.page.locator("#asked")).to_have_text("Nothing has been asked yet.")
        expect(visit.page.locator("#answer table")).to_have_count(0)


def test_after_a_question_that_failed_another_model_begins_anew(
    browser: Browser, server: ServerProcess
) -> None:
    with visiting(browser, server.url) as visit:
        choose(visit.page, "digit_sum/1")
        send(visit.page, "a.zip", b"PK")
        expect(visit.page.locator("#asked")).to_have_class("bad")
        choose(visit.page, "polynomial/1")
        expect(visit.page.locator("#asked")).to_have_class("note")
