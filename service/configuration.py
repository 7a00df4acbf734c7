"""Settings from a file, from SUMSERVE_* variables and from flags; what comes later wins."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from service.errors import SettingsError
from service.given import CONFIG, FILE, PREFIX, Given, flag, gather, variable
from service.settings import Settings


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
            flag(name),
            help=f"{field.description} (default: {field.default}; env {variable(name)})",
            metavar=name.rpartition("_")[2].upper(),
        )


def load_settings(environ: Mapping[str, str], flags: Mapping[str, Any]) -> Settings:
    """Settings by all three ways; SettingsError names each bad key and where it was given."""
    own = {name: flags.get(name) for name in (CONFIG, *Settings.model_fields)}
    given = gather(environ, own)
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
    about = f"# {field.description} (default: {field.default}; env {variable(name)})\n"
    plain = value if isinstance(value, (int, float)) else str(value)
    return f"{about}# {name} =\n" if value is None else f"{about}{name} = {json.dumps(plain)}\n"


def _complaint(problem: Any, given: Mapping[str, Given]) -> str:
    where = given[str(problem["loc"][0])].where
    if problem["type"] == "extra_forbidden":
        return f"unknown setting {where}"
    return f"{where}: {problem['msg']}, got {problem['input']!r}"
