"""Reads a request body within its limits, before anything looks inside."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.requests import ClientDisconnect, Request

from service.errors import BadRequest, ClientGone, SlowBody, TooLarge, UnsupportedMedia

JSON = "application/json"
LINGER_SECONDS = 5.0


async def read_json_body(request: Request, max_bytes: int, seconds: float) -> bytes:
    """The raw body of a JSON request.

    Raises TooLarge (also for a chunked body without a length), SlowBody, ClientGone,
    UnsupportedMedia, and BadRequest for an empty one. A missing Content-Type means JSON. What is
    wrong with the headers is said after the body has come: a client that is still writing when
    its connection closes never reads the answer.
    """
    try:
        async with asyncio.timeout(seconds):
            body = await _collect(request, max_bytes)
    except ClientDisconnect as error:
        raise ClientGone("the client left before its body had arrived") from error
    except TimeoutError as error:
        raise SlowBody(f"the body did not arrive within {seconds:g} seconds") from error
    if body is None:
        await _let_finish(request, min(seconds, LINGER_SECONDS))
        raise TooLarge(f"the body is larger than the limit of {max_bytes} bytes")
    _check_media(request)
    if not body:
        raise BadRequest("the body is empty; a JSON object is needed")
    return body


def _check_media(request: Request) -> None:
    kind = (request.headers.get("content-type") or JSON).partition(";")[0].strip().lower()
    if kind != JSON:
        raise UnsupportedMedia(f"Content-Type {kind[:80]!r} is not supported; send {JSON}")
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise UnsupportedMedia(
            f"Content-Encoding {encoding[:80]!r} is not supported; send the body as it is"
        )


async def _collect(request: Request, max_bytes: int) -> bytes | None:
    """The body, or None as soon as it is known to be too large."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > max_bytes:
        return None
    body = bytearray()
    while True:
        chunk, more = await _receive(request)
        body += chunk
        if len(body) > max_bytes:
            return None
        if not more:
            return bytes(body)


async def _let_finish(request: Request, seconds: float) -> None:
    """Throw away what a client still sends, for a while.

    Closing on a client that is writing resets the connection, and the answer is lost. A client
    that asks first (Expect: 100-continue) is answered at once.
    """
    if "expect" in request.headers:
        return
    with suppress(ClientDisconnect, TimeoutError):
        async with asyncio.timeout(seconds):
            while (await _receive(request))[1]:
                pass


async def _receive(request: Request) -> tuple[bytes, bool]:
    """The next piece of the body, and whether there is more."""
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)
