"""The model repository as it lies on disk: bundles in ``name/version/``, aliases beside them.

Names that clients send are looked up among those that lie here; no path is made of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from service.bundle import MANIFEST, read_small
from service.errors import BundleError

ALIASES = "aliases.json"  # {"stable": "3", "canary": "4"}, in a model's folder
ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,31}")

Versions = Mapping[str, Path]  # by number, the highest first
Stamp = frozenset[tuple[str, int, int]]  # of every file: its path, when it was changed, its size


@dataclass(frozen=True, slots=True)
class Folder:
    """newest: how many versions of each model are to be served; 0: all. Those that an alias names
    are served besides.
    """

    root: Path
    newest: int = 1

    def names(self) -> list[str]:
        """Of the folders in it. BundleError where it is none itself."""
        if not self.root.is_dir():
            raise BundleError(f"{self.root}: not a folder of bundles (name/version/{MANIFEST})")
        return sorted(path.name for path in self.root.glob("[!.]*") if path.is_dir())

    def models(self) -> dict[str, Versions]:
        """Every model's versions. BundleError where there is no folder, or an odd one in it."""
        found = {name: self.versions(name) for name in self.names()}
        return {name: versions for name, versions in found.items() if versions}

    def versions(self, name: str) -> Versions:
        """Those of one model; none where no folder is called so. BundleError where one is odd."""
        if name not in self.names():
            return {}
        model = self.root / name
        if model.is_symlink():
            raise BundleError(f"{model}: is a link; a model lies in a folder of its own")
        found = [path for path in model.glob("[!.]*") if path.is_dir()]
        return {path.name: path for path in sorted(found, key=_number, reverse=True)}

    def version(self, name: str, version: str) -> Path | None:
        """One version, whatever else lies beside it; None where it does not lie there."""
        path = self.root / name / version
        lies = path.is_dir() and not path.parent.is_symlink()
        return path if lies and name in self.names() and version.isdecimal() else None

    def aliases(self, name: str, versions: Versions) -> dict[str, str]:
        """A model's aliases. BundleError where they name what is not there."""
        path = self.root / name / ALIASES
        if not path.exists():
            return {}
        try:
            said = json.loads(read_small(path))
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{path}: not JSON: {error}") from error
        if not isinstance(said, dict):
            raise BundleError(f'{path}: is to be an object such as {{"stable": "3"}}')
        for alias, version in said.items():
            if not ALIAS.fullmatch(alias):
                raise BundleError(f"{path}: {alias!r} is no alias: small letters, digits, - and _")
            if not isinstance(version, str) or version not in versions:
                raise BundleError(f"{path}: {alias!r} is version {version!r}, which is not there")
        return said

    def chosen(self, versions: Versions, aliases: Mapping[str, str]) -> Versions:
        """Those that are to be served."""
        newest = list(versions)[: self.newest or None]
        return {v: path for v, path in versions.items() if v in newest or v in aliases.values()}

    def hidden(self, text: str) -> str:
        """The same without the path of this folder, for whoever need not know it."""
        return text.replace(f"{self.root}/", "").replace(f"{self.root}", "the folder of models")

    def stamps(self) -> dict[str, Stamp]:
        """Of the folders in it, by their names: unlike before where a file has changed."""
        return {model.name: _stamp(model) for model in self.root.glob("[!.]*") if model.is_dir()}


def _stamp(model: Path) -> Stamp:
    files = (path for path in model.rglob("*") if path.is_file())
    about = ((str(path.relative_to(model)), path.stat()) for path in files)
    return frozenset(
        (path, own.st_mtime_ns, own.st_size)
        for path, own in about
        if not path.startswith(".") and "/." not in path
    )


def _number(folder: Path) -> int:
    if not folder.name.isdecimal():
        raise BundleError(f"{folder}: a version folder is named by a number")
    return int(folder.name)
