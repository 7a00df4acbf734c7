"""What lies in the repository and what has become of it, in the Open Inference Protocol's words."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from service.errors import BundleError
from service.repository.repository import Repository


@dataclass(frozen=True, slots=True)
class Entry:
    """A version. state: READY, LOADING, UNLOADING or UNAVAILABLE; reason: why the last."""

    name: str
    version: str
    state: str
    reason: str = ""


def index(repository: Repository, failing: dict[str, str]) -> list[Entry]:
    """Every version that lies in the folder or is in memory. failing: ids -> why."""
    found = {key: _entry(repository, *key) for key in _lying(repository)}
    for served in repository.leaving:
        key = served.manifest.name, served.manifest.version
        found[key] = Entry(*key, "UNLOADING")
    for served in repository.catalog:
        key, why = (served.manifest.name, served.manifest.version), failing.get(served.id, "")
        found[key] = Entry(*key, "UNAVAILABLE" if why else "READY", why)
    for key in repository.loading:
        found[key] = Entry(*key, "LOADING")
    return [found[key] for key in sorted(found, key=lambda key: (key[0], int(key[1])))]


def _lying(repository: Repository) -> list[tuple[str, str]]:
    folder, found = repository.folder, list[tuple[str, str]]()
    with suppress(BundleError):  # the folder is gone; what is in memory serves on
        for name in folder.names():
            with suppress(BundleError):  # one that holds something odd
                found += [(name, version) for version in folder.versions(name)]
    return found


def _entry(repository: Repository, name: str, version: str) -> Entry:
    return Entry(name, version, "UNAVAILABLE", repository.failed.get((name, version), "not loaded"))
