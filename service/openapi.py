"""What the OpenAPI page says of routes: their bodies by media types, and their errors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from service.schema import (
    Error,
    Explanation,
    InferRequest,
    InferResponse,
    Prediction,
    Sequences,
    StreamedLine,
)


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These statuses answer with an `Error`."""
    return {status: {"model": Error} for status in statuses}


def _body(**media: Any) -> dict[str, Any]:
    """A request body by its media types."""
    content = {kind: {"schema": schema} for kind, schema in media.items()}
    return {"requestBody": {"required": True, "content": content}}


def body(kind: type[BaseModel], *statuses: int) -> dict[str, Any]:
    """A JSON body of that kind that may be left out, and the statuses of errors."""
    content = {"application/json": {"schema": kind.model_json_schema()}}
    extra = {"requestBody": {"required": False, "content": content}}
    return {"responses": errors(*statuses), "openapi_extra": extra}


SETS = {"sequences": [[1, 2, 3], [], [9]]}  # of the shipped digit_sum
TENSORS = {
    "inputs": [{"name": "digits", "shape": [3], "datatype": "INT64", "data": [1, 2, 3]}],
}
CHANGING = (400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503)
BINARY = {"type": "string", "format": "binary"}
PREDICT: dict[str, Any] = {
    "response_model": Prediction,
    "responses": errors(400, 404, 408, 413, 415, 429, 500, 503, 504),
    "openapi_extra": _body(
        **{
            "application/json": Sequences.model_json_schema() | {"examples": [SETS]},
            "application/vnd.apache.arrow.stream": BINARY,
        }
    ),
}
EXPLAIN: dict[str, Any] = {
    **PREDICT,
    "response_model": Explanation,
    "responses": errors(400, 404, 408, 413, 415, 429, 500, 503, 504),
}
STREAM: dict[str, Any] = {
    "responses": {
        200: {
            "description": "The answer, after all of the sequence has come.",
            "content": {
                "application/x-ndjson": {"schema": StreamedLine.model_json_schema()},
                "application/vnd.apache.arrow.stream": {"schema": BINARY},
            },
        },
        **errors(400, 404, 408, 413, 415, 429, 500, 503, 504, 507),
    },
    "openapi_extra": _body(
        **{
            "application/x-ndjson": {
                "type": "string",
                "description": "a piece in each line",
                "examples": ["[1, 2, 3]\n[4]\n"],
            },
            "application/vnd.apache.arrow.stream": BINARY,
        }
    ),
}
INFER: dict[str, Any] = {
    "response_model": InferResponse,
    "responses": errors(400, 404, 408, 413, 415, 429, 500, 503, 504),
    "openapi_extra": _body(
        **{
            "application/json": InferRequest.model_json_schema() | {"examples": [TENSORS]},
            "application/octet-stream": BINARY,
        }
    ),
}
