"""Settings from a file, from SUMSERVE_* variables and from flags; what comes later wins."""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from service.errors import SettingsError
from service.settings import Settings

PREFIX = "SUMSERVE_"
CONFIG = "config"  # SUMSERVE_CONFIG, --config: where the file is
FILE = Path("sumserve.toml")  # in the current folder, where nothing else is said


@dataclass(frozen=True, slots=True)
class Given:
    """A value, and what it was called where it was given."""

    value: object
    where: str


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag per setting, all optional."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help=f"TOML file of settings (default: {FILE}, if it is there; env {PREFIX}CONFIG)",
    )
    for name, field in Settings.model_fields.items():
        parser.add_argument(
            _flag(name),
            help=f"{field.description} (default: {field.default}; env {_variable(name)})",
            metavar=name.rpartition("_")[2].upper(),
        )


def load_settings(environ: Mapping[str, str], flags: Mapping[str, Any]) -> Settings:
    """Settings by all three ways; SettingsError names each bad key and where it was given."""
    variables = {
        key.removeprefix(PREFIX).lower(): Given(value, key)
        for key, value in environ.items()
        if key.startswith(PREFIX)
    }
    said = variables.pop(CONFIG, None)
    path = flags.get(CONFIG) or (Path(str(said.value)) if said else None)
    own = {name: flags[name] for name in Settings.model_fields if flags.get(name) is not None}
    given = _file(path) | variables | {name: Given(own[name], _flag(name)) for name in own}
    try:
        return Settings.model_validate({name: one.value for name, one in given.items()})
    except ValidationError as error:
        told = (_complaint(problem, given) for problem in error.errors())
        raise SettingsError("; ".join(told)) from error


def as_toml(settings: Settings) -> str:
    """A file that says the same, with what each setting is, its default and its variable."""
    return "\n".join(_lines(name, getattr(settings, name)) for name in Settings.model_fields)


def _lines(name: str, value: object) -> str:
    field = Settings.model_fields[name]
    about = f"# {field.description} (default: {field.default}; env {_variable(name)})\n"
    plain = value if isinstance(value, (int, float)) else str(value)
    return f"{about}# {name} =\n" if value is None else f"{about}{name} = {json.dumps(plain)}\n"


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


def _complaint(problem: Any, given: Mapping[str, Given]) -> str:
    where = given[str(problem["loc"][0])].where
    if problem["type"] == "extra_forbidden":
        return f"unknown setting {where}"
    return f"{where}: {problem['msg']}, got {problem['input']!r}"


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _variable(name: str) -> str:
    return f"{PREFIX}{name.upper()}"
