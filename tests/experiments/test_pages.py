from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest

from experiments.cells import RESULTS, plain

PAGES = sorted(RESULTS.glob("*.md"))
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


@every_page
def test_a_page_is_of_the_module_as_it_is_now(page: Path) -> None:
    module, text = import_module(f"experiments.{page.stem}"), page.read_text()
    assert (module.__doc__ or "").strip() in text
    assert getattr(module, "READING", "") in text
    assert f"![{text.splitlines()[0].removeprefix('# ')}]({page.stem}.png)" in text


@every_page
def test_a_page_s_cells_are_those_that_the_module_asks_for(page: Path) -> None:
    wanted = import_module(f"experiments.{page.stem}").cells(False)
    made = json.loads(page.with_suffix(".json").read_text())["cells"]
    arguments = {key: cell["arguments"] for key, cell in made.items()}
    assert arguments == {key: plain(asked) for key, asked in wanted.items()}
