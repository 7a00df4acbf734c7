"""A digit is drawn, by hand and by keyboard, and its probabilities and weights are shown."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.process import ServerProcess
from tests.page.visit import SIZES, visiting

SEVEN = [(2.0, 0.8), (6.0, 0.8), (3.6, 7.4)]  # in cells
ONE = [(4.2, 0.5), (4.2, 7.5)]


def draw(page: Page, places: list[tuple[float, float]]) -> None:
    """With the mouse: a line through places in cells."""
    board = page.locator("#board")
    board.scroll_into_view_if_needed()
    box = board.bounding_box()
    assert box
    cell = box["width"] / 8
    first, *others = [(box["x"] + x * cell, box["y"] + y * cell) for x, y in places]
    page.mouse.move(*first)
    page.mouse.down()
    for place in others:
        page.mouse.move(*place, steps=12)
    page.mouse.up()


def points(page: Page) -> list[list[float]]:
    """[column, row, ink, weight] as the list of points has them, the heaviest first."""
    expect(page.locator("#reading")).to_have_attribute("aria-busy", "false")
    rows = page.locator("#points tbody tr").all_inner_texts()
    found = [[float(part) for part in re.split(r"[,\s]+", row.strip())] for row in rows]
    return [[column - 1, row - 1, ink, weight] for column, row, ink, weight in found]


def predicted(server: ServerProcess, *sets: list[list[float]]) -> list[list[float]]:
    """The probabilities of sets of points."""
    url = f"{server.url}/v1/models/digits/predict"
    found: list[list[float]] = httpx.post(url, json={"sequences": sets}).json()["probabilities"]
    return found


@pytest.mark.parametrize("size", SIZES)
def test_a_digit_drawn_by_hand_is_read(browser: Browser, server: ServerProcess, size: str) -> None:
    with visiting(browser, server.url, size) as visit:
        draw(visit.page, SEVEN)
        expect(visit.page.locator("#verdict")).to_have_text(re.compile(r"It is a 7: \d+\.\d %"))
        shown = visit.page.locator(".bars td.number").all_inner_texts()
        assert sum(float(text.removesuffix("%")) for text in shown) == pytest.approx(100, abs=1)
        expect(visit.page.locator("#said")).to_have_text(re.compile("It is a 7"))


def test_a_digit_drawn_by_keyboard_is_read(browser: Browser, server: ServerProcess) -> None:
    with visiting(browser, server.url, reduced_motion="reduce") as visit:
        page = visit.page
        expect(page.locator("#cards article").first).to_be_visible()
        page.focus("#board")
        place = page.evaluate("scrollY")
        for _ in range(3):
            page.keyboard.press("ArrowUp")
        expect(page.locator("#cell")).to_have_text("Column 4, row 1: empty")
        for _ in range(7):
            page.keyboard.press("Space")
            page.keyboard.press("ArrowDown")
        page.keyboard.press("Space")
        expect(page.locator("#cell")).to_have_text("Column 4, row 8: ink 16 of 16")
        expect(page.locator("#verdict")).to_have_text(re.compile("It is a 1"))
        assert page.evaluate("scrollY") == place
        page.keyboard.press("-")
        expect(page.locator("#cell")).to_have_text("Column 4, row 8: ink 12 of 16")
        page.keyboard.press("Delete")
        expect(page.locator("#cell")).to_have_text("Column 4, row 8: empty")
        assert [(c, r, ink) for c, r, ink, _ in sorted(points(page))] == [
            (3, row, 16) for row in range(7)
        ]


def test_the_weights_are_what_the_answer_loses_without_each_point(
    browser: Browser, server: ServerProcess
) -> None:
    with visiting(browser, server.url, forgiven=("/explain",)) as visit:
        visit.page.route("**/explain", lambda route: route.fulfill(status=404, json={}))
        draw(visit.page, SEVEN)
        expect(visit.page.locator("#said")).to_have_text(re.compile("It is a 7"))
        expect(visit.page.locator("#cost")).to_contain_text("Weights by /predict")
        shown = sorted(points(visit.page))
        pixels = [own[:3] for own in sorted(shown, key=lambda own: (own[1], own[0]))]
        weights = {(own[0], own[1]): own[3] for own in shown}
        whole, *others = predicted(
            server, pixels, *(pixels[:i] + pixels[i + 1 :] for i in range(len(pixels)))
        )
        for (column, row, _), without in zip(pixels, others, strict=True):
            assert weights[column, row] == pytest.approx(whole[7] - without[7], abs=1e-3)


def test_weights_are_the_server_s_where_it_explains(
    browser: Browser, server: ServerProcess
) -> None:
    with visiting(browser, server.url) as visit:
        draw(visit.page, SEVEN)
        expect(visit.page.locator("#said")).to_have_text(re.compile("It is a 7"))
        expect(visit.page.locator("#cost")).to_contain_text("Weights by /explain")
        shown = sorted(points(visit.page), key=lambda own: (own[1], own[0]))
        url = f"{server.url}/v1/models/digits/explain"
        answer = httpx.post(url, json={"sequences": [[own[:3] for own in shown]]}).json()
        changes = [own[7] for own in answer["probability_changes"][0]]
        assert [own[3] for own in shown] == pytest.approx(changes, abs=1e-4)
        work = f"{len(shown)} points; as much work as {len(shown) ** 2:,} tokens of predictions"
        expect(visit.page.locator("#cost")).to_contain_text(work)


def test_a_single_point_has_an_answer_and_no_weight(
    browser: Browser, server: ServerProcess
) -> None:
    with visiting(browser, server.url) as visit:
        expect(visit.page.locator("#cards article").first).to_be_visible()
        visit.page.focus("#board")
        visit.page.keyboard.press("Space")
        expect(visit.page.locator("#cost")).to_contain_text("1 point; 1 token, computed in")
        expect(visit.page.locator("#cost")).to_contain_text("No weights: no point may be left out.")
        assert visit.page.locator("#points tbody td").last.inner_text() == "–"


def test_every_sample_is_read_as_what_it_is(browser: Browser, server: ServerProcess) -> None:
    with visiting(browser, server.url) as visit:
        for digit in range(10):
            visit.page.get_by_role("button", name=f"Draw a {digit}").click()
            expect(visit.page.locator("#verdict")).to_have_text(re.compile(f"It is a {digit}"))
        assert visit.page.locator("#winner").inner_text() == "9"


def test_ink_can_be_taken_away_again(browser: Browser, server: ServerProcess) -> None:
    with visiting(browser, server.url) as visit:
        draw(visit.page, ONE)
        expect(visit.page.locator("#verdict")).to_have_text(re.compile("It is a"))
        visit.page.get_by_role("button", name="Eraser").click()
        draw(visit.page, ONE)
        expect(visit.page.locator("#verdict")).to_have_text("Draw something.")
        visit.page.get_by_role("button", name="Eraser").click()
        draw(visit.page, SEVEN)
        expect(visit.page.locator("#verdict")).to_have_text(re.compile("It is a 7"))
        visit.page.get_by_role("button", name="Clear").click()
        expect(visit.page.locator("#verdict")).to_have_text("Draw something.")


def test_a_small_drawing_is_fitted_to_the_board(browser: Browser, server: ServerProcess) -> None:
    with visiting(browser, server.url) as visit:
        draw(visit.page, [(0.5 + x / 3, 0.5 + y / 3) for x, y in SEVEN])
        visit.page.get_by_role("button", name="Fit to height").click()
        expect(visit.page.locator("#verdict")).to_have_text(re.compile("It is a 7"))
        rows = {row for _, row, *_ in points(visit.page)}
        assert rows == set(range(8))
