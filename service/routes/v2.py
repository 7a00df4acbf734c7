"""The Open Inference Protocol, with Triton's extensions that are listed in its metadata."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from service import openapi, schema
from service.application import Service
from service.errors import NotServing
from service.prediction import respond
from service.routes.version import Version, found
from service.whole import Whole
from service.wires import oip_metadata
from service.wires.exchange import infer as wire

MODEL, VERSION = "/v2/models/{name}", "/v2/models/{name}/versions/{version}"
TAGS: list[Any] = ["open inference protocol"]


def add(app: FastAPI, service: Service, whole: Whole) -> None:
    """Metadata, readiness, inference, configuration, statistics."""
    _add_server(app, service, whole)
    _add_model(app, service, whole)

    @app.post(f"{MODEL}/infer", tags=TAGS, **openapi.INFER)
    @app.post(f"{VERSION}/infer", tags=TAGS, **openapi.INFER)
    async def infer(request: Request, name: str, version: Version = None) -> Response:
        """Run tensors through a model: columns end to end with lengths, or a batch."""
        return await respond(service, wire, request, name, version)


def _add_server(app: FastAPI, service: Service, whole: Whole) -> None:
    @app.get("/v2", tags=TAGS)
    async def server() -> dict[str, Any]:
        """The server's name, version and extensions."""
        extensions = list(oip_metadata.EXTENSIONS)
        return {"name": "sumserve", "version": schema.VERSION, "extensions": extensions}

    @app.get("/v2/models/stats", tags=TAGS, responses=openapi.errors(503))
    async def all_statistics() -> dict[str, Any]:
        """Counts of every model since the server started."""
        return {"model_stats": await whole.statistics(own.manifest for own in service.catalog)}


def _add_model(app: FastAPI, service: Service, whole: Whole) -> None:
    @app.get(MODEL, tags=TAGS, responses=openapi.errors(404))
    @app.get(VERSION, tags=TAGS, responses=openapi.errors(404))
    async def model(request: Request, name: str, version: Version = None) -> dict[str, Any]:
        """A model's inputs and outputs."""
        served = found(service, request, name, version)
        return oip_metadata.metadata(served.manifest, service.catalog.versions(name))

    @app.get(f"{MODEL}/ready", tags=TAGS, responses=openapi.errors(404, 503))
    @app.get(f"{VERSION}/ready", tags=TAGS, responses=openapi.errors(404, 503))
    async def ready(request: Request, name: str, version: Version = None) -> dict[str, Any]:
        """Whether a model takes requests, of whichever worker."""
        manifest = found(service, request, name, version).manifest
        if reason := await whole.reason():
            raise NotServing(reason)
        return {"name": manifest.name, "ready": True}

    @app.get(f"{MODEL}/config", tags=TAGS, responses=openapi.errors(404))
    @app.get(f"{VERSION}/config", tags=TAGS, responses=openapi.errors(404))
    async def config(request: Request, name: str, version: Version = None) -> dict[str, Any]:
        """A model's configuration, in Triton's words."""
        return oip_metadata.config(found(service, request, name, version).manifest)

    @app.get(f"{MODEL}/stats", tags=TAGS, responses=openapi.errors(404, 503))
    @app.get(f"{VERSION}/stats", tags=TAGS, responses=openapi.errors(404, 503))
    async def statistics(request: Request, name: str, version: Version = None) -> dict[str, Any]:
        """Counts of a model since the server started."""
        own = found(service, request, name, version)
        every = [own] if version else [*service.catalog.versions(name).values()]
        return {"model_stats": await whole.statistics(own.manifest for own in every)}
