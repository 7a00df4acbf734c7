"""A repository of small models: versions are copies, so that all answer alike."""

from __future__ import annotations

import shutil
from pathlib import Path

from service.application import Service
from service.server import load
from service.settings import Settings
from tests.service.harms import vouch


def add_version(bundles: Path, root: Path, name: str, version: str) -> Path:
    """A copy of a bundle as another version."""
    folder = root / name / version
    shutil.copytree(bundles / name / "1", folder)
    vouch(folder, version=version)
    return folder


def serving(root: Path, **settings: object) -> Service:
    """What serves that folder."""
    return load(Settings.model_validate({"models": root, **settings}))


def versions(service: Service, name: str) -> list[str]:
    """Those that are served."""
    return [*service.catalog.versions(name)]
