"""The project's own interface: models, and predictions in JSON or Arrow."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.responses import Response

from service import schema
from service.application import Service
from service.prediction import respond
from service.streams.streamed import Streamed, Streams
from service.wires.exchange import predict as wire


def add(app: FastAPI, service: Service) -> None:
    """What is served, and asking it."""
    costs, streams = service.engine.costs, Streams(service)

    @app.get("/v1/models", tags=["models"])
    async def models() -> schema.Models:
        """The models served here."""
        every = service.manifests.values()
        return schema.Models(models=[schema.ModelInfo.of(own, costs) for own in every])

    @app.get("/v1/models/{name}", tags=["models"], responses=schema.errors(404))
    async def model(name: str) -> schema.ModelInfo:
        """What one model reads and answers."""
        return schema.ModelInfo.of(service.manifest(name), costs)

    @app.post("/v1/models/{name}/predict", tags=["models"], **schema.PREDICT)
    async def predict(name: str, request: Request) -> Response:
        """Run sequences of unequal length through a model."""
        return await respond(service, wire, request, name)

    @app.post("/v1/models/{name}/stream", tags=["models"], **schema.STREAM)
    async def stream(name: str, request: Request) -> Response:
        """Run one sequence of any length through a model, piece by piece as it comes.

        The body is a series of pieces of one sequence, each in the form that a prediction takes for
        a sequence, context included: in NDJSON every line is a piece, in Arrow every row. Empty
        pieces are allowed, and an empty body is an empty sequence. Nothing of the answer is sent
        before the whole body has been read.
        """
        return Streamed(streams, name, request)
