"""Pure ASGI middleware: who may ask for what. What is not named here is for nobody.

It goes by the path as the server has it, never by a URL, which is made of what clients send too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.complaint import on_service_error
from service.errors import Forbidden, ServiceError
from service.keys import Key, Keys, Role

KEY = "sumserve.key"  # in a request's scope
NAME = r"[^/]+"
OF_MODEL = rf"/{NAME}(/versions/{NAME})?"
CALL = r"/inference\.GRPCInferenceService/"
OPEN = re.compile(
    rf"/v2/health/(live|ready)|{CALL}Server(Live|Ready)"
    r"|/|/page/[a-z]+\.(css|js|svg)|/docs(/swagger-ui(-bundle\.js|\.css))?"
)
CLIENTS = re.compile(
    rf"/v1/models({OF_MODEL}(/(predict|stream|explain))?)?"
    rf"|/v2|/v2/models/stats|/v2/models{OF_MODEL}(/(infer|ready|config|stats))?"
    r"|/v2/repository/index|/metrics|/openapi\.json"
    rf"|{CALL}(ServerMetadata|RepositoryIndex|Model(Ready|Metadata|Infer|Config|Statistics))"
)
ADMINS = re.compile(
    rf"/v2/repository/models/{NAME}/(load|unload)|{CALL}RepositoryModel(Load|Unload)"
)
CLOSED = "what is served is not changed from outside: the server has no key of the role admin"


def role(path: str) -> Role | None:
    """Whose a path is; None: everybody's. Raises Forbidden for a path that nobody has."""
    if OPEN.fullmatch(path):
        return None
    if CLIENTS.fullmatch(path):
        return "client"
    if ADMINS.fullmatch(path):
        return "admin"
    raise Forbidden("nothing that is served here")


class Gate:
    """Lets through what the key allows; without any keys all but what is for admins."""

    def __init__(self, app: ASGIApp, keys: Keys | None) -> None:
        self._app, self._keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            try:
                scope[KEY] = self._key(scope)
            except ServiceError as error:
                await (await on_service_error(Request(scope), error))(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _key(self, scope: Scope) -> Key | None:
        # A router's pattern that ends in "$" ends before a line break, too.
        if not scope["path"].isprintable():
            raise Forbidden("nothing that is served here has such characters in its path")
        if self._keys is None:
            if ADMINS.fullmatch(scope["path"]):
                raise Forbidden(CLOSED)
            return None
        wanted = role(scope["path"])
        if wanted is None:
            return None
        if wanted == "admin" and not self._keys.administered:
            raise Forbidden(CLOSED)
        return self._keys.check(shown(Request(scope).headers), wanted)


def shown(headers: Mapping[str, str]) -> str | None:
    """The key that a request shows, as a bearer token or in X-API-Key."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return headers.get("x-api-key")
