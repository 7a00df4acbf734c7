"""FastAPI around a model that answers its input, as one would write it by hand, in two ways."""

from __future__ import annotations

import numpy as np
import orjson
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

from service.pack import Array


class Sequence(BaseModel):
    """A request of the typed way: tokens by numbers."""

    x: list[list[float]]


class Answer(BaseModel):
    """Its response."""

    y: list[list[float]]


def model(x: Array) -> Array:
    """The identity."""
    return x


def with_pydantic() -> FastAPI:
    """Bodies typed by pydantic, both ways."""
    app = _app()

    @app.post("/predict")
    async def predict(sequence: Sequence) -> Answer:
        rows = model(np.array(sequence.x, np.float32))
        return Answer(y=rows.tolist())

    return app


def with_orjson() -> FastAPI:
    """Bodies read and written by orjson."""
    app = _app()

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        found = orjson.loads(await request.body())
        rows = model(np.array(found["x"], np.float32))
        body = orjson.dumps({"y": rows}, option=orjson.OPT_SERIALIZE_NUMPY)
        return Response(body, media_type="application/json")

    return app


def _app() -> FastAPI:
    app = FastAPI()

    @app.get("/v2/health/ready")
    @app.get("/v2/health/live")
    async def live() -> dict[str, bool]:
        return {"live": True}

    return app
