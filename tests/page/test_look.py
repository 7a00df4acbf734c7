"""How the page looks and what it says of itself: on a phone and a desk, light and dark.

What an accessibility checker would ask: names, headings, labels, contrast, the order of focus.
"""

from __future__ import annotations

import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.process import ServerProcess
from tests.page.visit import SIZES, Visit, visiting
from tests.service.test_page_colours import contrast, scheme

SCHEMES: list[Any] = ["light", "dark"]
NAMELESS = """() => [...document.querySelectorAll("button, input, select, canvas, a, svg, img")]
  .filter((own) => own.offsetParent !== null || own.tagName === "svg")
  .filter((own) => !(own.labels?.length || own.getAttribute("aria-label") || own.hasAttribute("alt")
    || own.textContent.trim()))
  .map((own) => own.outerHTML.slice(0, 80))"""
TEXTS = """() => {
  const solid = (own) => {
    for (let at = own; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/, 0\\)$|transparent/.test(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  return [...document.querySelectorAll("body *")]
    .filter((own) => own.offsetParent !== null && !own.closest(".hidden"))
    .filter((own) => [...own.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
    .map((own) => [own.textContent.trim().slice(0, 40), getComputedStyle(own).color, solid(own)]);
}"""


def filled(visit: Visit) -> Page:
    """With a digit drawn and an answer shown."""
    page = visit.page
    page.get_by_role("button", name="Draw a 3").click()
    expect(page.locator("#verdict")).to_have_text(re.compile("It is a"))
    page.get_by_role("button", name="Ask with the example").click()
    expect(page.locator("#answer tbody tr").first).to_be_visible()
    expect(page.locator("#state")).to_have_text("ready")
    return page


def hexed(colour: str) -> str:
    """rgb(r, g, b) as #rrggbb."""
    parts = re.findall(r"\d+", colour)[:3]
    return "#" + "".join(f"{int(part):02x}" for part in parts)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dark", SCHEMES)
def test_the_page_fits_and_its_text_can_be_read(
    browser: Browser, server: ServerProcess, tmp_path: Path, size: str, dark: Any
) -> None:
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    with visiting(browser, server.url, size, color_scheme=dark) as visit:
        page = filled(visit)
        expect(page.locator(".chart path.line").last).to_have_attribute("d", re.compile("L.*L.*L"))
        shot = folder / f"{size}-{dark}.png"
        page.screenshot(path=shot, full_page=True)
        assert shot.stat().st_size > 20_000
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        texts = page.evaluate(TEXTS)
        assert len(texts) > 80
        poor = [own for own in texts if contrast(hexed(own[1]), hexed(own[2])) < 4.5]
        assert not poor


@pytest.mark.parametrize("dark", SCHEMES)
def test_the_scheme_is_the_visitor_s(browser: Browser, server: ServerProcess, dark: Any) -> None:
    with visiting(browser, server.url, color_scheme=dark) as visit:
        ground = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert hexed(ground) == scheme(dark)["paper"]


def test_everything_has_a_name_and_a_place(browser: Browser, server: ServerProcess) -> None:
    with visiting(browser, server.url) as visit:
        page = filled(visit)
        assert page.evaluate(NAMELESS) == []
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map(own => own.id)")
        assert len(ids) == len(set(ids))
        named = page.evaluate(
            """[...document.querySelectorAll('*')].flatMap(own =>
              ['aria-labelledby', 'aria-describedby', 'aria-controls', 'for']
                .map(name => own.getAttribute(name)).filter(Boolean))"""
        )
        assert set(named) <= set(ids)
        for role in ("banner", "main", "navigation"):
            expect(page.get_by_role(role)).to_have_count(1)


def test_headings_go_down_one_step_at_a_time(browser: Browser, server: ServerProcess) -> None:
    with visiting(browser, server.url) as visit:
        page = filled(visit)
        levels = page.evaluate(
            "[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(own => +own.tagName[1])"
        )
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))


def test_tables_have_captions_and_headers(browser: Browser, server: ServerProcess) -> None:
    with visiting(browser, server.url) as visit:
        tables = filled(visit).locator("table").all()
        assert len(tables) >= 3
        for table in tables:
            assert table.locator("caption").count() == 1
            assert table.locator("th:not([scope])").count() == 0
            assert table.locator("th[scope]").count() > 0


def test_the_keyboard_reaches_everything_in_the_order_it_is_seen(
    browser: Browser, server: ServerProcess
) -> None:
    with visiting(browser, server.url) as visit:
        page = visit.page
        expect(page.locator("#copy")).to_be_visible()
        seen = []
        for _ in range(80):
            page.keyboard.press("Tab")
            seen.append(
                page.evaluate("document.activeElement.id || document.activeElement.innerText")
            )
        wanted = ["Skip to the content", "Models", "secret", "board", "eraser", "model", "file"]
        wanted += ["example", "pause", "copy"]
        places = [seen.index(name) for name in wanted]
        assert places == sorted(places)


def test_focus_is_seen_and_motion_can_be_done_without(
    browser: Browser, server: ServerProcess
) -> None:
    with visiting(browser, server.url, reduced_motion="reduce") as visit:
        page = filled(visit)
        page.focus("#eraser")
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
        assert outline == "3px"
        moving = page.evaluate(
            """[...document.querySelectorAll('*')].filter(own =>
              parseFloat(getComputedStyle(own).transitionDuration) > 0).length"""
        )
        assert moving == 0
