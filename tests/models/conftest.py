from __future__ import annotations

import pytest

from tests.models.command import use
from tests.models.training.doubling import Doubling


@pytest.fixture
def doubling(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny task in the place of a real one."""
    use(monkeypatch, Doubling())
