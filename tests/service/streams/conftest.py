from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from service.application import Service
from service.server import load
from service.settings import Settings

Serving = Callable[..., Service]


@pytest.fixture
def serving(bundles: Path) -> Serving:
    """Small models behind an engine: `plain` answers per token, `pooled` in one pass."""

    def made(**settings: object) -> Service:
        return load(Settings.model_validate({"models": bundles, **settings}))

    return made
