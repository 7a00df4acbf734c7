"""The HTTP application: its routes, its errors, and what is around them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from service import schema
from service.access import AccessLog
from service.application import Service
from service.complaint import on_bug, on_http_error, on_service_error
from service.cors import shared
from service.description import describe
from service.errors import ServiceError
from service.gate import Gate
from service.keys import Keys
from service.lag import Lag
from service.protocol import CONNECTED, PATIENCE, REFUSED
from service.repository.control import Control
from service.repository.watch import Watch
from service.routes import docs, explain, health, metrics, page, repository, v1, v2
from service.routes.direct import Direct
from service.rpc.start import beside
from service.siblings import Siblings
from service.tracing import Spans
from service.whole import Whole

PAGES: Any = {"docs_url": None, "redoc_url": None, "swagger_ui_oauth2_redirect_url": None}


def create_app(
    service: Service,
    siblings: Siblings | None = None,
    keys: Keys | None = None,
    spans: Spans | None = None,
) -> ASGIApp:
    """The application over a loaded service. siblings: where there are other workers; keys: where
    who asks must show one; spans: where requests are traced.
    """
    siblings = siblings or Siblings()
    whole, control = Whole(service, siblings), Control(service.repository, siblings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        await siblings.start()
        await control.join()
        watching = asyncio.create_task(_watch(service, siblings, control))
        lag = Lag(service.metrics.late)
        async with beside(service, whole, control, keys, spans):
            lag.start()
            service.readiness.started = True
            yield {
                REFUSED: service.metrics.refused,
                CONNECTED: service.engine.connected,
                # Longer than whoever waits for their reader: those can say what happened.
                PATIENCE: 2 * service.settings.body_seconds,
            }
            lag.stop()
        watching.cancel()
        service.repository.close()
        await service.engine.close()
        service.coders.shutdown()
        service.streamers.shutdown()
        await siblings.stop()

    app = FastAPI(title="sumserve", version=schema.VERSION, lifespan=lifespan, **PAGES)
    app.router.redirect_slashes = False
    app.openapi = describe(app)  # type: ignore[method-assign]
    health.add(app, service.readiness, whole)
    v1.add(app, service)
    explain.add(app, service)
    v2.add(app, service, whole)
    metrics.add(app, whole)
    repository.add(app, service, control)
    page.add(app)
    docs.add(app)
    app.add_exception_handler(ServiceError, on_service_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(Exception, on_bug)
    gated = shared(Gate(Direct(app, service), keys), service.settings.cors_origins)
    return AccessLog(gated, service.readiness, service.metrics.request, spans)


async def _watch(service: Service, siblings: Siblings, control: Control) -> None:
    """One worker looks for all."""
    seconds = service.settings.watch_seconds
    if seconds and siblings.index == 0:
        repository = service.repository
        await Watch(repository.folder, control, repository.opened).run(seconds)
