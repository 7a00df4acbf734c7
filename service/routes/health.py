"""Health, as orchestrators ask for it."""

from __future__ import annotations

from fastapi import FastAPI

from service import openapi
from service.errors import NotServing
from service.readiness import Readiness
from service.whole import Whole


def add(app: FastAPI, readiness: Readiness, whole: Whole) -> None:
    """Liveness, of whichever worker is asked, and readiness, of all of them."""

    @app.head("/v2/health/live", include_in_schema=False)
    @app.get("/v2/health/live", tags=["health"], responses=openapi.errors(503))
    async def live() -> dict[str, bool]:
        """The process, its event loop and its device run."""
        if readiness.stuck:
            raise NotServing(readiness.stuck)
        return {"live": True}

    @app.head("/v2/health/ready", include_in_schema=False)
    @app.get("/v2/health/ready", tags=["health"], responses=openapi.errors(503))
    async def ready() -> dict[str, bool]:
        """Models are loaded and the server is not draining."""
        if reason := await whole.reason():
            raise NotServing(reason)
        return {"ready": True}
