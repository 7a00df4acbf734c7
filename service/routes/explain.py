"""Explanations: what every token of a sequence changes in its answer."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.responses import Response

from service import openapi
from service.application import Service
from service.explain.request import explain as respond
from service.routes.v1 import MODEL, VERSION
from service.routes.version import Version


def add(app: FastAPI, service: Service) -> None:
    """Of a model, and of one of its versions."""

    @app.post(f"{MODEL}/explain", tags=["models"], **openapi.EXPLAIN)
    @app.post(f"{VERSION}/explain", tags=["models"], **openapi.EXPLAIN)
    async def explain(name: str, request: Request, version: Version = None) -> Response:
        """Say how much each output per sequence changes when a token is left out, for every token.

        The body is a prediction's. A change is the output of the whole sequence less that of the
        sequence without the token: of what a prediction calls outputs (a classifier's logits), and
        where it answers probabilities, of those too. Exact, not estimated: of a model whose tokens
        meet in one sum it takes about as long as two predictions, however long the sequence; of
        others every sequence is run again without each token, which is allowed up to a limit.
        """
        return await respond(service, request, name, version)
