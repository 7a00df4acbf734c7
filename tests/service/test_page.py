"""The page's files: each is served as what it is, and nothing else is."""

from __future__ import annotations

import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest

from service.api import create_app
from service.gate import role
from service.routes import docs, page
from tests.conftest import ROOT
from tests.service.client import Client
from tests.service.fakes import service
from tests.service.test_gate import BOTH

FOLDER = ROOT / "service" / "page"
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix not in {".py", ".pyc", ""})
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
NAMESPACE = "http://www.w3.org/2000/svg"  # a name, from where nothing is loaded


class Links(HTMLParser):
    """What a page loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = dict(attrs)
        self.inline += [name for name in own if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in own):
            self.inline.append(tag)
        loads = own.get("src") if tag in ("script", "img") else own.get("href")
        if tag in ("script", "img", "link") and loads:
            self.found.append(loads)


@pytest.fixture(scope="module")
def client() -> Client:
    return Client(create_app(service(), keys=BOTH))


@pytest.mark.parametrize("path", page.PATHS)
def test_a_file_of_the_page_is_served_to_everybody_as_what_it_is(client: Client, path: str) -> None:
    file = FOLDER / page.PATHS[path]
    answer = client.get(path)
    assert (answer.status_code, answer.content) == (200, file.read_bytes())
    assert answer.headers["content-type"] == TYPES[file.suffix]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-cache"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", page.PATHS)
def test_a_file_that_the_client_has_is_not_sent_again(client: Client, path: str) -> None:
    tag = client.get(path).headers["etag"]
    for shown in (tag, f'"other", W/{tag}', "*"):
        again = client.get(path, headers={"If-None-Match": shown})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_the_table_has_every_file_of_the_folder() -> None:
    served = {*page.PATHS.values(), "docs.html"}
    assert {path.name for path in FILES} == served


@pytest.mark.parametrize(
    "path",
    ["/page/", "/page/other.js", "/page/__init__.py", "/page/../gate.py", "/page/app.js/", "/page"],
)
def test_what_is_not_in_the_table_is_not_there(path: str) -> None:
    open_to_all = Client(create_app(service()))
    assert open_to_all.get(path).status_code == 404
    assert open_to_all.get(path.replace("..", "%2e%2e")).status_code == 404


def test_the_page_is_only_read(client: Client) -> None:
    assert client.request("HEAD", "/").status_code == 200
    assert client.post("/").status_code == 405


@pytest.mark.parametrize("name", ["index.html", "docs.html"])
def test_a_page_loads_what_is_served_here_and_has_no_code_or_style_in_it(name: str) -> None:
    links = Links((FOLDER / name).read_text())
    assert len(links.found) >= 4
    assert {f"/{found}" for found in links.found} <= {*page.PATHS, *docs.PATHS}
    assert not links.inline


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_a_file_refers_to_no_other_host_and_stays_small(file: Path) -> None:
    text = file.read_text().replace(NAMESPACE, "")
    assert not re.findall(r"https?://[\w.]|[\"'(]//", text)
    lines = text.splitlines()
    assert len(lines) <= 250
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("name", page.SCRIPTS)
def test_a_module_imports_what_is_served_and_makes_no_html(name: str) -> None:
    text = (FOLDER / f"{name}.js").read_text()
    imported = re.findall(r'from "\./([\w.]+)"', text)
    assert {f"/page/{found}" for found in imported} <= set(page.PATHS)
    assert len(imported) == len(re.findall(r"^import ", text, re.MULTILINE))
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b", text)
    assert text.startswith("// ")


def test_the_wheel_has_every_file_and_package() -> None:
    own = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = own["package-data"]["service.page"]
    assert all(any(path.match(pattern) for pattern in patterns) for path in FILES)
    packages = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for top in ("models", "export", "service")
        for path in (ROOT / top).rglob("__init__.py")
    }
    assert packages == set(own["packages"])


def test_everybody_may_read_the_page_and_its_interface_s() -> None:
    assert {role(path) for path in (*page.PATHS, *docs.PATHS)} == {None}


@pytest.mark.parametrize("path", docs.PATHS)
def test_the_interface_s_page_is_served_from_here(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("default-src 'self';")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", docs.PATHS)
def test_without_its_package_the_interface_s_page_says_what_to_install(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docs, "PACKAGE", "a_package_that_is_not_there")
    answer = Client(create_app(service())).get(path)
    assert (answer.status_code, answer.json()) == (404, {"error": docs.MISSING})
    assert "sumserve[docs]" in docs.MISSING


def test_a_package_without_the_files_is_as_good_as_none() -> None:
    assert docs.installed("pytest") is None
    assert docs.installed("a_package_that_is_not_there") is None
    assert docs.installed(docs.PACKAGE) is not None


def test_there_is_no_other_page_of_the_interface(client: Client) -> None:
    assert Client(create_app(service())).get("/redoc").status_code == 404
