from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

import pytest

from experiments import cells
from tests.experiments.inline import Inline

NAMES = (
    "figure1",
    "figure2",
    "latent_dim",
    "discontinuous",
    "approximation",
    "compiled",
    "architectures",
    "scaling",
    "copying",
    "trained",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_smoke_run_writes_its_cells_its_page_and_its_picture(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "ProcessPoolExecutor", Inline)
    asked = [name, "--smoke", "--workers", "1", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", asked)
    module = import_module(f"experiments.{name}")
    module.main()
    made = json.loads((tmp_path / f"{name}.json").read_text())
    assert set(made) == {"command", "torch", "machine", "seconds", "cells"}
    assert list(made["cells"]) == list(module.cells(True))
    assert all("seconds" in cell for cell in made["cells"].values())
    page = (tmp_path / f"{name}.md").read_text()
    assert page.startswith("# ")
    assert (module.__doc__ or "").strip() in page
    assert "| --- |" in page
    assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
