"""Who asks, and how long they are ready to wait, from the headers of a request."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

from starlette.requests import Request

from service.errors import BadRequest, quoted
from service.gate import KEY

TIMEOUT = "x-request-timeout"
KEYS = "x-api-key", "authorization"


def client(request: Request) -> str:
    """Whom the engine is to treat as one: who shows the same key, or sends from the same address.

    Where no keys are set, whatever is shown keeps those behind one balancer apart.
    """
    if key := request.scope.get(KEY):
        return f"key {key.name}"
    for name in KEYS:
        if name in request.headers:
            return hashlib.blake2b(request.headers[name].encode(), digest_size=8).hexdigest()
    return request.client.host if request.client else ""


def asked_timeout(headers: Mapping[str, str]) -> float | None:
    """Seconds after which an answer is of no use, as X-Request-Timeout says; None without.

    Raises BadRequest for what is no time.
    """
    if TIMEOUT not in headers:
        return None
    try:
        seconds = float(headers[TIMEOUT])
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise BadRequest(
            f"X-Request-Timeout: {quoted(headers[TIMEOUT], 40)} is no number of seconds"
        )
    return seconds
