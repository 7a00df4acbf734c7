"""Metrics, as Prometheus asks for them."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.responses import Response

from service.metrics import CONTENT_TYPE
from service.whole import Whole


def add(app: FastAPI, whole: Whole) -> None:
    """The one page."""

    @app.get("/metrics", tags=["metrics"], response_class=Response)
    async def page() -> Response:
        """Metrics in Prometheus' text format."""
        return Response(await whole.page(), media_type=CONTENT_TYPE)
