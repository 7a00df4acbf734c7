"""The snippets of every model are what they seem: they run, and get its answer."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.process import ServerProcess
from tests.page.visit import visiting

MODELS = ("digits", "polynomial", "digit_sum")


def snippet(page: Page, model: str, tab: str) -> str:
    page.get_by_role("button", name=f"Ask {model}/1").click()
    page.get_by_role("tab", name=tab, exact=True).click()
    expect(page.get_by_role("tabpanel", name=tab, exact=True)).to_be_visible()
    return page.locator("#tab-panel code").inner_text()


@pytest.mark.parametrize("model", MODELS)
def test_the_curl_command_is_a_request_that_is_answered(
    browser: Browser, server: ServerProcess, model: str
) -> None:
    with visiting(browser, server.url) as visit:
        command = shlex.split(snippet(visit.page, model, "curl").replace("\\\n", " "))
    program, _, url, _, header, _, body = command
    assert (program, url) == ("curl", f"{server.url}/v1/models/{model}/predict")
    name, _, value = header.partition(": ")
    answer = httpx.post(url, content=body, headers={name: value})
    assert answer.status_code == 200
    assert len(answer.json()["outputs"]) == len(json.loads(body)["sequences"]) == 2


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("tab", ["httpx", "tritonclient"])
def test_the_python_scripts_run(
    browser: Browser, server: ServerProcess, model: str, tab: str
) -> None:
    with visiting(browser, server.url) as visit:
        script = snippet(visit.page, model, tab)
    command = [sys.executable, "-c", script]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("[[")


def test_tabs_work_with_arrow_keys(browser: Browser, server: ServerProcess) -> None:
    with visiting(browser, server.url) as visit:
        tabs = visit.page.get_by_role("tab")
        tabs.first.focus()
        for key, chosen in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowRight", 0), ("End", 2)):
            visit.page.keyboard.press(key)
            expect(tabs.nth(chosen)).to_be_focused()
            expect(tabs.nth(chosen)).to_have_attribute("aria-selected", "true")
            assert tabs.evaluate_all("tabs => tabs.map(t => t.tabIndex)").count(0) == 1


def test_a_snippet_is_copied(browser: Browser, server: ServerProcess) -> None:
    granted = ["clipboard-read", "clipboard-write"]
    with visiting(browser, server.url, permissions=granted) as visit:
        wanted = snippet(visit.page, "digit_sum", "curl")
        visit.page.get_by_role("button", name="Copy").click()
        expect(visit.page.locator("#said")).to_have_text("curl: copied")
        assert visit.page.evaluate("navigator.clipboard.readText()") == wanted
