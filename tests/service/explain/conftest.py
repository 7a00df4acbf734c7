from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from export.bundle import export
from export.cases import QUICK
from service.application import Service
from service.server import load
from service.settings import Settings
from tests.conftest import small_checkpoint
from tests.service.explain.models import mixed

Serving = Callable[..., Service]


@pytest.fixture(scope="session")
def explainable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of bundles: `pooled` and `stack` of all tests, and mixed ones."""
    root = tmp_path_factory.mktemp("explainable")
    small = [small_checkpoint(name) for name in ("pooled", "stack", "plain")]
    for checkpoint in (*small, mixed(), mixed(timed=True), mixed(least=2)):
        export(checkpoint, root, "1", effort=QUICK)
    return root


@pytest.fixture
def serving(explainable: Path) -> Serving:
    """Those bundles behind an engine."""

    def made(**changed: object) -> Service:
        return load(Settings.model_validate({"models": explainable, **changed}))

    return made
