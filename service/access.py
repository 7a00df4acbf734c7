"""Pure ASGI middleware: a request id on every response, and one log line per request."""

from __future__ import annotations

import itertools
import logging
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import logs
from service.errors import ServiceError
from service.manifest import Manifest
from service.readiness import Readiness
from service.tracing import Spans, Trace

SCOPE_KEY = "sumserve.log"
_PROCESS, _COUNT = uuid.uuid4().hex[:16], itertools.count()  # together, unlike any other's
_ID = re.compile(r"[A-Za-z0-9_.:/+=-]{1,128}")

log = logging.getLogger("sumserve.access")


class AccessLog:
    """Wraps the whole application; handlers add fields by `note`."""

    def __init__(
        self,
        app: ASGIApp,
        readiness: Readiness,
        count: Callable[[str, str, int, str], None],
        spans: Spans | None = None,
    ) -> None:
        """count: is told of every answer, by model and version, where one is served so, by status,
        and by the reason where a status has several; spans: where requests are traced.
        """
        self._app, self._readiness, self._count, self._spans = app, readiness, count, spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace = Trace(scope, self._spans)
        fields: dict[str, Any] = {"request_id": _request_id(scope), "status": None, **trace.fields}
        scope[SCOPE_KEY] = fields
        started = time.perf_counter()

        async def send_noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                fields["status"] = message["status"]
                headers = message["headers"] = list(message.get("headers", ()))
                headers.append((b"x-request-id", fields["request_id"].encode()))
                if "model" in fields:
                    headers += _model_headers(fields)
                if self._readiness.draining:  # the next request belongs to another server
                    headers.append((b"connection", b"close"))
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        except Exception:
            own = {"request_id": fields["request_id"], **trace.fields}
            log.exception("unexpected error", extra={"fields": own})
            if fields["status"] is None:
                raise
        finally:
            if log.isEnabledFor(logging.INFO):
                duration = round((time.perf_counter() - started) * 1e3, 3)
                _tell(_line(scope, fields, duration))
            of = fields.get("model", ""), fields.get("version", "")
            self._count(*of, fields["status"] or 500, fields.get("reason", ""))
            trace.over(fields)


def note(scope: Scope, **fields: Any) -> None:
    """Add fields to the request's log line."""
    scope[SCOPE_KEY].update(fields)


def note_error(scope: Scope, error: ServiceError) -> None:
    """Say what was wrong, and the reason, where the status alone does not tell."""
    note(scope, error=str(error), **({"reason": error.reason} if error.reason else {}))


def note_model(scope: Scope, manifest: Manifest) -> None:
    """Say which model answers, in the log line and in headers."""
    own = manifest.name, manifest.version, manifest.numerics
    note(scope, model=own[0], version=own[1], verification=own[2])


def _model_headers(fields: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    """What a client that keeps answers needs to know where they came from."""
    model = f"{fields['model']}/{fields['version']}".encode()
    return [(b"x-model", model), (b"x-model-verification", fields["verification"].encode())]


def _request_id(scope: Scope) -> str:
    """The client's own id when it is harmless in a log and a header, otherwise a new one."""
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _ID.fullmatch(given) else f"{_PROCESS}-{next(_COUNT):x}"


def _tell(line: dict[str, Any]) -> None:
    """One line per request: by the short way, where there is one."""
    if writer := logs.lines():
        writer.tell(log.name, "request", line)
    else:
        log.info("request", extra={"fields": line})


def _line(scope: Scope, fields: dict[str, Any], duration_ms: float) -> dict[str, Any]:
    client = scope.get("client")
    return {
        **fields,
        "method": scope["method"],
        "path": scope["path"],
        "client": client[0] if client else None,
        "duration_ms": duration_ms,
    }
