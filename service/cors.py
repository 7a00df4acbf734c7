"""Pages of other origins that may ask, and read what is answered: none, unless they are named."""

from __future__ import annotations

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from service.asking import KEYS, TIMEOUT
from service.wires.oip_answer import HEADER

METHODS = ("GET", "HEAD", "POST")
ASKED = (
    *(*KEYS, TIMEOUT, HEADER, "Content-Type", "Content-Encoding", "X-Request-Id"),
    *("traceparent", "tracestate"),
)
TOLD = ("X-Request-Id", "X-Model", "X-Model-Verification", "Retry-After", HEADER)


def shared(app: ASGIApp, origins: str | None) -> ASGIApp:
    """The application, with headers for browsers. origins: with commas between; ``*``: any.

    Browsers' own credentials are never asked for: keys are headers that a page sets itself.
    """
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins.split(","),
        allow_methods=METHODS,
        allow_headers=ASKED,
        expose_headers=TOLD,
    )
