"""Content-Encoding both ways: gzip and deflate, bounded while it inflates."""

from __future__ import annotations

import zlib

from service.errors import BadRequest, TooLarge, UnsupportedMedia, quoted

WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # zlib's names for the two formats
LEVEL = 1  # of numbers little can be had, and that at any level


def inflate(body: bytes | bytearray, encoding: str, most: int) -> bytes:
    """The body as it was before it was compressed, of at most so many bytes.

    Raises UnsupportedMedia, TooLarge (never holding more than the limit), and BadRequest for
    what is cut off, corrupted or goes on after its end.
    """
    if encoding not in WINDOWS:
        raise UnsupportedMedia(
            f"Content-Encoding {quoted(encoding)} is not supported; gzip and deflate are"
        )
    stream = zlib.decompressobj(WINDOWS[encoding])
    try:
        inflated = stream.decompress(body, most + 1)
    except zlib.error as error:
        raise BadRequest(f"the body is not valid {encoding}") from error
    if len(inflated) > most:
        raise TooLarge(f"the body inflates to more than the limit of {most} bytes")
    if not stream.eof or stream.unused_data:
        what = "goes on after its end" if stream.eof else "is cut off"
        raise BadRequest(f"the body is not valid {encoding}: it {what}")
    return inflated


def deflate(body: bytes, encoding: str) -> bytes:
    """The body compressed."""
    stream = zlib.compressobj(LEVEL, zlib.DEFLATED, WINDOWS[encoding])
    return stream.compress(body) + stream.flush()
