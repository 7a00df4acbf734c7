"""Reads a request body within its limits, before anything looks inside."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from service.errors import BadRequest, ClientGone, SlowBody, TooLarge, UnsupportedMedia

JSON = "application/json"


async def read_json_body(request: Request, max_bytes: int, seconds: float) -> bytes:
    """The raw body of a JSON request.

    Raises UnsupportedMedia, TooLarge (also for a chunked body without a length), SlowBody, and
    BadRequest for an empty one. A missing Content-Type means JSON.
    """
    _check_media(request)
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > max_bytes:
        raise TooLarge(f"the body has {length} bytes, the limit is {max_bytes}")
    try:
        async with asyncio.timeout(seconds):
            body = await _collect(request, max_bytes)
    except ClientDisconnect as error:
        raise ClientGone("the client left before its body had arrived") from error
    except TimeoutError as error:
        raise SlowBody(f"the body did not arrive within {seconds:g} seconds") from error
    if not body:
        raise BadRequest("the body is empty; a JSON object is needed")
    return body


def _check_media(request: Request) -> None:
    kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if kind != JSON:
        raise UnsupportedMedia(f"Content-Type {kind[:80]!r} is not supported; send {JSON}")
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise UnsupportedMedia(
            f"Content-Encoding {encoding[:80]!r} is not supported; send the body as it is"
        )


async def _collect(request: Request, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise TooLarge(f"the body is larger than the limit of {max_bytes} bytes")
    return bytes(body)
