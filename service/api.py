"""The HTTP application: its routes, its errors, and what is around them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from service import schema
from service.access import AccessLog
from service.application import Service
from service.complaint import on_bug, on_http_error, on_service_error
from service.errors import ServiceError
from service.routes import health, metrics, v1, v2
from service.routes.direct import Direct
from service.siblings import Siblings
from service.whole import Whole


def create_app(service: Service, siblings: Siblings | None = None) -> ASGIApp:
    """The application over a loaded service. siblings: where there are other workers."""
    siblings = siblings or Siblings()
    whole = Whole(service, siblings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await siblings.start()
        service.readiness.started = True
        yield
        await service.engine.close()
        service.coders.shutdown()
        service.streamers.shutdown()
        await siblings.stop()

    app = FastAPI(title="sumserve", version=schema.VERSION, lifespan=lifespan)
    app.router.redirect_slashes = False
    health.add(app, service.readiness, whole)
    v1.add(app, service)
    v2.add(app, service, whole)
    metrics.add(app, whole)
    app.add_exception_handler(ServiceError, on_service_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(Exception, on_bug)
    return AccessLog(Direct(app, service), service.readiness, service.metrics.request)
