"""Metrics, as Prometheus asks for them."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.responses import Response

from service.metrics import CONTENT_TYPE, Metrics


def add(app: FastAPI, metrics: Metrics) -> None:
    """The one page."""

    @app.get("/metrics", tags=["metrics"], response_class=Response)
    async def page() -> Response:
        """Metrics in Prometheus' text format."""
        return Response(metrics.page(), media_type=CONTENT_TYPE)
