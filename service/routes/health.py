"""Health, as orchestrators ask for it."""

from __future__ import annotations

from fastapi import FastAPI

from service import schema
from service.errors import NotServing
from service.readiness import Readiness


def add(app: FastAPI, readiness: Readiness) -> None:
    """Liveness and readiness."""

    @app.get("/v2/health/live", tags=["health"], responses=schema.errors(503))
    async def live() -> dict[str, bool]:
        """The process, its event loop and its device run."""
        if readiness.stuck:
            raise NotServing(readiness.stuck)
        return {"live": True}

    @app.get("/v2/health/ready", tags=["health"], responses=schema.errors(503))
    async def ready() -> dict[str, bool]:
        """Models are loaded and the server is not draining."""
        if not readiness.ready:
            raise NotServing(readiness.reason())
        return {"ready": True}
