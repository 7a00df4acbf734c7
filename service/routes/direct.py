"""Predictions past the framework: its layers take as long as all the rest of a small request.

FastAPI has the same routes, for its page and for whatever does not look as expected here.
"""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.application import Service
from service.complaint import on_bug, on_service_error
from service.errors import ServiceError
from service.prediction import respond
from service.wires.exchange import infer, predict

PREDICT = re.compile(r"/v1/models/([^/]+)(?:/versions/([^/]+))?/predict")
INFER = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer")


class Direct:
    """Answers predictions, and leaves everything else to an application."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        path = scope["path"] if scope["type"] == "http" and scope["method"] == "POST" else ""
        found, wire = PREDICT.fullmatch(path), predict
        if not found:
            found, wire = INFER.fullmatch(path), infer
        if not found:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await respond(self._service, wire, request, *found.groups())
        except ServiceError as error:
            response = await on_service_error(request, error)
        except Exception as error:
            await (await on_bug(request, error))(scope, receive, send)
            raise
        await response(scope, receive, send)
