"""The project's own interface: models, and predictions in JSON or Arrow."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.responses import Response

from service import openapi, schema
from service.application import Service
from service.catalog import Served
from service.prediction import respond
from service.routes.version import Version, found
from service.streams.streamed import Streamed, Streams
from service.wires.exchange import predict as wire

MODEL, VERSION = "/v1/models/{name}", "/v1/models/{name}/versions/{version}"


def add(app: FastAPI, service: Service) -> None:
    """What is served, and asking it."""
    streams = Streams(service)

    def about(served: Served) -> schema.ModelInfo:
        return schema.ModelInfo.of(served, service.catalog, service.engine.costs[served.id])

    @app.get("/v1/models", tags=["models"])
    async def models() -> schema.Models:
        """The models served here."""
        return schema.Models(models=[about(served) for served in service.catalog])

    @app.get(MODEL, tags=["models"], responses=openapi.errors(404))
    @app.get(VERSION, tags=["models"], responses=openapi.errors(404))
    async def model(request: Request, name: str, version: Version = None) -> schema.ModelInfo:
        """What one model reads and answers. version: its number or an alias."""
        return about(found(service, request, name, version))

    @app.post(f"{MODEL}/predict", tags=["models"], **openapi.PREDICT)
    @app.post(f"{VERSION}/predict", tags=["models"], **openapi.PREDICT)
    async def predict(name: str, request: Request, version: Version = None) -> Response:
        """Run sequences of unequal length through a model."""
        return await respond(service, wire, request, name, version)

    @app.post(f"{MODEL}/stream", tags=["models"], **openapi.STREAM)
    @app.post(f"{VERSION}/stream", tags=["models"], **openapi.STREAM)
    async def stream(name: str, request: Request, version: Version = None) -> Response:
        """Run one sequence of any length through a model, piece by piece as it comes.

        The body is a series of pieces of one sequence, each in the form that a prediction takes for
        a sequence, context included: in NDJSON every line is a piece, in Arrow every row. Empty
        pieces are allowed, and an empty body is an empty sequence. Nothing of the answer is sent
        before the whole body has been read.
        """
        return Streamed(streams, request, name, version)
