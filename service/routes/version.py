"""The version in a path, if it names one, and what is served under it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from service.access import note_model
from service.application import Service
from service.catalog import Served


def _version(request: Request) -> str | None:
    """A parameter of its own would be one of the query where the path has none."""
    return request.path_params.get("version")


Version = Annotated[str | None, Depends(_version)]


def found(service: Service, request: Request, name: str, version: str | None) -> Served:
    """What is meant, which the answer says. Raises UnknownModel."""
    served = service.catalog.find(name, version)
    note_model(request.scope, served.manifest)
    return served
