"""The model repository, as the Open Inference Protocol has it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from service import openapi, schema
from service.application import Service
from service.errors import BadRequest
from service.repository.control import Control
from service.repository.index import index

MODEL = "/v2/repository/models/{name}"
TAGS: list[Any] = ["model repository"]


class IndexRequest(BaseModel, extra="forbid"):
    """ready: only what takes requests."""

    ready: bool = False


class Parameters(BaseModel, extra="forbid"):
    """version: of all that lie there only this one; unload_dependents: there are none."""

    version: str | None = None
    unload_dependents: bool = False


class ChangeRequest(BaseModel, extra="forbid"):
    """A load or an unload. There is no way to send a configuration or files."""

    parameters: Parameters = Parameters()


def add(app: FastAPI, service: Service, control: Control) -> None:
    """What lies in the folder, and changing what of it is served."""

    @app.post("/v2/repository/index", tags=TAGS, **openapi.body(IndexRequest, 400))
    async def every(request: Request) -> list[schema.IndexEntry]:
        """Every version that lies there or is in memory, and its state."""
        asked = await _read(service, request, IndexRequest)
        found = index(service.repository, service.readiness.failing)
        chosen = (entry for entry in found if entry.state == "READY" or not asked.ready)
        return [schema.IndexEntry.of(entry) for entry in chosen]

    @app.post(f"{MODEL}/load", tags=TAGS, **openapi.body(ChangeRequest, *openapi.CHANGING))
    async def load(name: str, request: Request) -> Response:
        """Serve a model as it lies there now.

        What is new is verified and warmed up before it takes requests; what it replaces answers
        those it has. With parameters.version only that version is loaded, besides what is served.
        """
        asked = await _read(service, request, ChangeRequest)
        await control.load(name, asked.parameters.version)
        return Response()

    @app.post(f"{MODEL}/unload", tags=TAGS, **openapi.body(ChangeRequest, *openapi.CHANGING))
    async def unload(name: str, request: Request) -> Response:
        """Serve a model, or one version of it, no more. The requests that it has are answered."""
        asked = await _read(service, request, ChangeRequest)
        await control.unload(name, asked.parameters.version)
        return Response()


async def _read(service: Service, request: Request, kind: type[Any]) -> Any:
    """A small body; an empty one says nothing."""
    with service.bodies.holding() as held:
        body = await service.bodies.receive(request, held)
    try:
        return kind.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise refused(error) from error


def refused(error: ValidationError) -> BadRequest:
    """What is wrong with a request first."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"])) or "body"
    return BadRequest(f"{where}: {first['msg']}")
