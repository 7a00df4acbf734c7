"""The HTTP interface: routes, and every error as {"error": message}."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from service import schema
from service.access import AccessLog, note
from service.answer import dumps, encode, usage
from service.body import read_json_body
from service.engine import Engine
from service.errors import NotServing, ServiceError, UnknownModel
from service.manifest import Manifest
from service.readiness import Readiness
from service.settings import Settings
from service.wire import decode

LARGE_BYTES = 100_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Service:
    """What the routes stand on."""

    settings: Settings
    manifests: Mapping[str, Manifest]
    engine: Engine
    readiness: Readiness

    def manifest(self, name: str) -> Manifest:
        """The served model of that name, or UnknownModel."""
        if name not in self.manifests:
            known = ", ".join(self.manifests)
            raise UnknownModel(f"unknown model {name[:80]!r}; served here: {known}")
        return self.manifests[name]


def create_app(service: Service) -> ASGIApp:
    """The application over a loaded service."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.readiness.started = True
        yield
        await service.engine.close()

    app = FastAPI(title="sumserve", version=schema.VERSION, lifespan=lifespan)
    app.router.redirect_slashes = False
    _add_health(app, service.readiness)
    _add_models(app, service)
    app.add_exception_handler(ServiceError, _on_service_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_bug)
    return AccessLog(app, service.readiness)


def _add_health(app: FastAPI, readiness: Readiness) -> None:
    @app.get("/v2/health/live", tags=["health"])
    async def live() -> dict[str, bool]:
        """The process and its event loop run."""
        return {"live": True}

    @app.get("/v2/health/ready", tags=["health"], responses=schema.errors(503))
    async def ready() -> dict[str, bool]:
        """Models are loaded and the server is not draining."""
        if not readiness.ready:
            raise NotServing(readiness.reason())
        return {"ready": True}


def _add_models(app: FastAPI, service: Service) -> None:
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
        settings = service.settings
        body = await read_json_body(request, settings.max_body_bytes, settings.body_seconds)
        manifest = service.manifest(name)
        note(request.scope, model=name, version=manifest.version)
        large = len(body) > LARGE_BYTES
        sequences = await _call(large, decode, body, manifest, settings.max_request_tokens)
        answer = await service.engine.predict(name, sequences)
        used = usage(answer, [len(s) for s in sequences])
        note(request.scope, **used)
        return _json(await _call(large, encode, manifest, answer, used))


async def _call(large: bool, function: Callable[..., T], *args: Any) -> T:
    """Small work at once; large work in a thread, so that the loop goes on answering others."""
    return await asyncio.to_thread(function, *args) if large else function(*args)


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
    return _json(dumps({"error": message}), status, headers)


def _json(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(body, status, headers, media_type="application/json")
