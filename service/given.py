"""What a file, SUMSERVE_* variables and flags say, before anybody judges it; the last one wins.

It knows no setting and imports nothing heavy: a health check reads an address with it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.errors import SettingsError

PREFIX = "SUMSERVE_"
CONFIG = "config"  # SUMSERVE_CONFIG, --config: where the file is
FILE = Path("sumserve.toml")  # in the current folder, where nothing else is said
HOST, PORT = "127.0.0.1", 8080  # where nobody says anything


@dataclass(frozen=True, slots=True)
class Given:
    """A value, and what it was called where it was given."""

    value: object
    where: str


def gather(environ: Mapping[str, str], flags: Mapping[str, Any]) -> dict[str, Given]:
    """What is said in all three ways, by name; flags that are None say nothing.

    Raises SettingsError where the file cannot be read.
    """
    variables = {
        key.removeprefix(PREFIX).lower(): Given(value, key)
        for key, value in environ.items()
        if key.startswith(PREFIX)
    }
    said = variables.pop(CONFIG, None)
    path = flags.get(CONFIG) or (Path(str(said.value)) if said else None)
    own = {name: value for name, value in flags.items() if value is not None and name != CONFIG}
    return _file(path) | variables | {name: Given(own[name], flag(name)) for name in own}


def flag(name: str) -> str:
    """What a setting is called on the command line."""
    return f"--{name.replace('_', '-')}"


def variable(name: str) -> str:
    """What a setting is called in the environment."""
    return f"{PREFIX}{name.upper()}"


def _file(path: Path | None) -> dict[str, Given]:
    """What a file says. One that is named has to be there."""
    if path is None and not FILE.is_file():
        return {}
    path = path or FILE
    try:
        values = tomllib.loads(path.read_text())
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from error
    return {name: Given(value, f"{path}: {name}") for name, value in values.items()}
