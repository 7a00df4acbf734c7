"""The project's own interface: models, and predictions in JSON or Arrow."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.responses import Response

from service import schema
from service.application import Service
from service.prediction import respond
from service.wires.exchange import predict as wire


def add(app: FastAPI, service: Service) -> None:
    """What is served, and asking it."""

    @app.get("/v1/models", tags=["models"])
    async def models() -> schema.Models:
        """The models served here."""
        return schema.Models(models=[schema.ModelInfo.of(m) for m in service.manifests.values()])

    @app.get("/v1/models/{name}", tags=["models"], responses=schema.errors(404))
    async def model(name: str) -> schema.ModelInfo:
        """What one model reads and answers."""
        return schema.ModelInfo.of(service.manifest(name))

    @app.post("/v1/models/{name}/predict", tags=["models"], **schema.PREDICT)
    async def predict(name: str, request: Request) -> Response:
        """Run sequences of unequal length through a model."""
        return await respond(service, wire, request, name)
