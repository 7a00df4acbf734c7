"""The version in a path, if it names one."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request


def _version(request: Request) -> str | None:
    """A parameter of its own would be one of the query where the path has none."""
    return request.path_params.get("version")


Version = Annotated[str | None, Depends(_version)]
