"""Every error as a response: {"error": message}."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.access import note, note_error
from service.errors import ServiceError
from service.wires.json_answer import dumps

BUG = "internal error; the log has it under this request's id"


async def on_service_error(request: Request, error: Exception) -> Response:
    """One of ours."""
    assert isinstance(error, ServiceError)
    note_error(request.scope, error)
    return _error(request, error.status, str(error), error.headers)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Starlette's own: unknown paths, wrong methods."""
    assert isinstance(error, HTTPException)
    where = f"{request.method} {request.scope['path'][:200]}"
    messages = {
        "Not Found": f"nothing is served at {where}",
        "Method Not Allowed": f"{where}: method not allowed",
    }
    message = messages.get(error.detail, error.detail)
    return _error(request, error.status_code, message, error.headers or {})


async def on_bug(request: Request, error: Exception) -> Response:
    """Ours to mend: the log has the traceback, under the request id that the client has too."""
    return _error(request, 500, BUG, {})


def _error(request: Request, status: int, message: str, headers: Mapping[str, str]) -> Response:
    note(request.scope, error=message)
    body = dumps({"error": message})
    return Response(body, status, dict(headers), media_type="application/json")
