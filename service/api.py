"""The HTTP application: routes, and every error as {"error": message}."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from service import schema
from service.access import AccessLog, note
from service.application import Service
from service.errors import ServiceError
from service.routes import health, v1, v2
from service.wires.json_answer import dumps


def create_app(service: Service) -> ASGIApp:
    """The application over a loaded service."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.readiness.started = True
        yield
        await service.engine.close()
        service.coders.shutdown()

    app = FastAPI(title="sumserve", version=schema.VERSION, lifespan=lifespan)
    app.router.redirect_slashes = False
    health.add(app, service.readiness)
    v1.add(app, service)
    v2.add(app, service)
    app.add_exception_handler(ServiceError, _on_service_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_bug)
    return AccessLog(app, service.readiness)


async def _on_service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    return _error(request, error.status, str(error), error.headers)


async def _on_http_error(request: Request, error: Exception) -> Response:
    """Starlette's own: unknown paths, wrong methods."""
    assert isinstance(error, HTTPException)
    where = f"{request.method} {request.scope['path'][:200]}"
    messages = {404: f"nothing is served at {where}", 405: f"{where}: method not allowed"}
    message = messages.get(error.status_code, error.detail)
    return _error(request, error.status_code, message, error.headers or {})


async def _on_bug(request: Request, error: Exception) -> Response:
    """Ours to mend: the log has the traceback, under the request id that the client has too."""
    return _error(request, 500, "internal error; the log has it under this request's id", {})


def _error(request: Request, status: int, message: str, headers: Mapping[str, str]) -> Response:
    note(request.scope, error=message)
    body = dumps({"error": message})
    return Response(body, status, dict(headers), media_type="application/json")
