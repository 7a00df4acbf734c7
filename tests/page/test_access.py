"""The page where keys are on, and the page of the interface: for whom, and with what."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from benchmarks.process import ServerProcess
from tests.conftest import SHIPPED
from tests.page.visit import visiting

SECRET, OTHER = "a-secret-that-nobody-guesses", "one-that-is-no-client-s"
REFUSED = ("/v1/models", "/v2", "/v2/repository/index", "/metrics")
KEPT = """[sessionStorage.length, localStorage.length, document.cookie]"""


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    file = tmp_path_factory.mktemp("keys") / "keys.toml"
    team, boss = (hashlib.sha256(secret.encode()).hexdigest() for secret in (SECRET, OTHER))
    file.write_text(f'[team]\nsha256 = "{team}"\n[boss]\nsha256 = "{boss}"\nrole = "admin"\n')
    with ServerProcess(SHIPPED, keys=file, grace_seconds=0) as process:
        yield process


def test_a_key_opens_the_page_and_stays_in_its_tab(browser: Browser, locked: ServerProcess) -> None:
    with visiting(browser, locked.url, forgiven=REFUSED) as visit:
        page = visit.page
        expect(page.get_by_role("alert")).to_contain_text("this server wants a key")
        expect(page.locator("#state")).to_have_text("wants a key")
        page.get_by_label("API key").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("the key is not known here")
        page.get_by_label("API key").fill(SECRET)
        page.get_by_role("button", name="Use", exact=True).click()
        expect(page.locator("#cards article")).to_have_count(3)
        expect(page.get_by_role("alert")).to_be_hidden()
        expect(page.locator("#state")).to_have_text("ready")
        page.get_by_role("button", name="Ask with the example").click()
        expect(page.locator("#answer tbody tr").first).to_be_visible()
        page.reload()
        expect(page.locator("#cards article")).to_have_count(3)
        assert page.evaluate(KEPT) == [1, 0, ""]
        assert SECRET not in page.locator("#tabs").inner_text()
        assert "$SUMSERVE_KEY" in page.locator("#tabs").inner_text()


def test_nothing_can_be_asked_while_no_model_is_known(
    browser: Browser, locked: ServerProcess
) -> None:
    with visiting(browser, locked.url, forgiven=REFUSED) as visit:
        expect(visit.page.get_by_role("alert")).to_be_visible()
        for section in ("#draw", "#ask", "#snippets"):
            expect(visit.page.locator(section)).to_be_hidden()
        assert visit.page.locator("#live").is_visible()


def test_a_key_that_no_header_can_carry_is_refused_at_once(
    browser: Browser, locked: ServerProcess
) -> None:
    with visiting(browser, locked.url, forgiven=REFUSED) as visit:
        visit.page.get_by_label("API key").fill("schlüssel")
        visit.page.get_by_role("button", name="Use", exact=True).click()
        expect(visit.page.get_by_role("alert")).to_contain_text("a key has no spaces")


def test_a_key_that_is_for_something_else_is_told_so(
    browser: Browser, locked: ServerProcess
) -> None:
    with visiting(browser, locked.url, forgiven=REFUSED) as visit:
        visit.page.get_by_label("API key").fill(OTHER)
        visit.page.get_by_role("button", name="Use", exact=True).click()
        expect(visit.page.locator("#state")).to_have_text("answered 403")
        wanted = "key 'boss' is one for admins; this is for clients"
        expect(visit.page.locator("#state")).to_have_attribute("title", wanted)
        expect(visit.page.get_by_role("alert")).to_have_text(f"{wanted}. Put another one in above.")


def test_the_interface_is_shown_without_any_other_host(
    browser: Browser, server: ServerProcess
) -> None:
    with visiting(browser, server.url, path="/docs") as visit:
        operation = visit.page.locator("#operations-models-predict_v1_models__name__predict_post")
        expect(operation).to_be_visible()
        operation.locator(".opblock-summary-control").click()
        expect(operation.locator(".opblock-body")).to_be_visible()


def test_the_interface_s_page_shows_the_key_that_the_page_was_given(
    browser: Browser, locked: ServerProcess
) -> None:
    with visiting(browser, locked.url, forgiven=REFUSED) as visit:
        visit.page.get_by_label("API key").fill(SECRET)
        visit.page.get_by_role("button", name="Use", exact=True).click()
        expect(visit.page.locator("#cards article")).to_have_count(3)
        visit.page.get_by_role("link", name="API").click()
        expect(visit.page.locator(".opblock").first).to_be_visible()
