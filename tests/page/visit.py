"""A visit of the page in a real browser, which notices whatever goes wrong on the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
SECONDS = 20  # that anything may take to be seen
SIZES: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 900}},
    "phone": {
        "viewport": {"width": 360, "height": 740},
        "is_mobile": True,
        "has_touch": True,
        "device_scale_factor": 2,
    },
}


@dataclass(slots=True)
class Visit:
    """A page that is open. problems: errors on its console, failed requests, other hosts.

    forgiven: endings of URLs that may answer with an error.
    """

    page: Page
    url: str
    forgiven: tuple[str, ...]
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(SECONDS * 1000)
        self.page.on("console", lambda message: self._said(message))
        self.page.on("pageerror", lambda error: self.problems.append(f"thrown: {error}"))
        self.page.on("response", lambda answer: self._answered(answer))
        self.page.on("requestfailed", lambda asked: self._failed(asked))

    def _said(self, message: ConsoleMessage) -> None:
        at = str(message.location.get("url", ""))
        if message.type in ("error", "warning") and not at.endswith(self.forgiven):
            self.problems.append(f"{message.type}: {message.text} at {at}")

    def _failed(self, asked: Request) -> None:
        if asked.failure != "net::ERR_ABORTED":  # as what is under way when a page is left
            self.problems.append(f"failed: {asked.url}: {asked.failure}")

    def _answered(self, answer: Response) -> None:
        if answer.status >= 400 and not answer.url.endswith(self.forgiven):
            self.problems.append(f"{answer.status}: {answer.url}")
        if not answer.url.startswith((self.url, "data:", "blob:")):
            self.problems.append(f"another host: {answer.url}")


@contextmanager
def visiting(
    browser: Browser,
    url: str,
    size: str = "desktop",
    path: str = "/",
    forgiven: tuple[str, ...] = (),
    clock: bool = False,
    **options: Any,
) -> Iterator[Visit]:
    """Open a path of a server, and be sure in the end that nothing went wrong.

    clock: whether time stands still but when the test lets it run.
    """
    context = browser.new_context(**SIZES[size], **options)
    try:
        page = context.new_page()
        visit = Visit(page, url, forgiven)
        if clock:
            page.clock.install()
        page.goto(url + path)
        yield visit
        assert not visit.problems
    finally:
        context.close()
