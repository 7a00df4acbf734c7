"""Completes the OpenAPI description that FastAPI makes of the routes: what holds for all of them.

Their keys, headers, errors and examples, said once; and what FastAPI believes and is not so is
taken out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from service.errors import ServiceError
from service.gate import role

ABOUT = """\
Models over sets and sequences of unequal length, without padding. Every error is
`{"error": "..."}` and names what is wrong, where, and the limit.
"""
TEXT: dict[str, Any] = {"type": "string"}
EVERY = {
    "X-Request-Id": "the client's own X-Request-Id, or a new one; the log has it",
}
OF_MODEL = {
    "X-Model": "the version that answered, as name/version; not with an error before it was found",
    "X-Model-Verification": "the start of the SHA-256 of its verification report",
}
OF_MODELS = re.compile(r"/v[12]/models/\{name\}")
OF_STATUS = {
    "401": {"WWW-Authenticate": "Bearer"},
    "429": {"Retry-After": "seconds after which another try may do better"},
    "503": {"Retry-After": "seconds after which another try may do better"},
}
ASKED = {
    "X-Request-Timeout": "seconds after which the answer is of no use: 504",
    "X-Request-Id": "an id of the client's for this request: 1 to 128 of A-Z a-z 0-9 _ . : / + = -",
}
PARAMETERS = {
    "name": ("a model's name", "digit_sum"),
    "version": ("the number of a version, or an alias such as stable", "1"),
}
KEYS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
DENIED = "401", "403"
ERROR = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
METHODS = {"get", "post"}
NAMES = {str(own.status): str(own.__doc__) for own in ServiceError.__subclasses__()}


def describe(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """What makes an application's description, once."""
    made = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(made())
        assert app.openapi_schema
        return app.openapi_schema

    return complete


def _complete(page: dict[str, Any]) -> None:
    page["info"]["description"] = ABOUT
    parts = page.setdefault("components", {})
    parts["securitySchemes"] = KEYS
    for wrong in ("HTTPValidationError", "ValidationError"):
        parts.get("schemas", {}).pop(wrong, None)
    for path, methods in page["paths"].items():
        for method in METHODS & methods.keys():
            _operation(path, methods[method])


def _operation(path: str, operation: dict[str, Any]) -> None:
    answers = operation["responses"]
    if "HTTPValidationError" in str(answers.get("422")):
        del answers["422"]  # FastAPI checks nothing here that could fail so
    if role(path.replace("{name}", "m").replace("{version}", "1")):
        operation["security"] = [{}, *({key: []} for key in KEYS)]
        answers |= {status: ERROR | {"description": NAMES[status]} for status in DENIED}
    parameters = operation.setdefault("parameters", [])
    if "{version}" in path:
        parameters.append({"name": "version", "in": "path", "required": True, "schema": TEXT})
    for own in parameters:
        own["description"], own["example"] = PARAMETERS[own["name"]]
    if "requestBody" in operation:
        parameters += [_header(name, what) for name, what in ASKED.items()]
    for status, answer in answers.items():
        headers = EVERY | (OF_MODEL if OF_MODELS.match(path) else {})
        every = headers | OF_STATUS.get(status, {})
        answer["headers"] = {name: _said(what) for name, what in every.items()}
        answer["description"] = NAMES.get(status, answer["description"])


def _header(name: str, what: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": what, "schema": TEXT, "required": False}


def _said(what: str) -> dict[str, Any]:
    return {"description": what, "schema": TEXT}
