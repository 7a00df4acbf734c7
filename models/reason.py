"""Why a value was refused, in one line for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError


def reason(error: Exception) -> str:
    """The message of an error; of a ValidationError every part as ``key: what is wrong``."""
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(_part(dict(part)) for part in error.errors(include_url=False))


def _part(part: Mapping[str, Any]) -> str:
    place = ".".join(map(str, part["loc"]))
    said = str(part["msg"]).removeprefix("Value error, ")
    return f"{place}: {said}" if place else said
