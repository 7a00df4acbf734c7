"""A bundle with columns of every kind, context and outputs per token and per sequence."""

from __future__ import annotations

from pathlib import Path

import pytest

from export.bundle import export
from export.cases import QUICK
from service.bundle import Bundle
from service.graph import Options
from service.session import Session
from tests.export.architectures import made


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle's folder."""
    return export(made("sumformer"), tmp_path_factory.mktemp("tables"), "1", effort=QUICK)


@pytest.fixture(scope="session")
def session(folder: Path) -> Session:
    """The bundle, opened."""
    return Session(Bundle.open(folder), Options())
