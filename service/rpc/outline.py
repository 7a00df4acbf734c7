"""What a ModelInferRequest says before it is parsed: which model, and that it is not all crumbs.

An empty tensor is two bytes on the wire and some eighty once it is parsed. So the fields of the
message are counted first, without looking into them. Source: protobuf's encoding.
"""

from __future__ import annotations

from collections.abc import Iterator

from service.errors import BadRequest

NAMES = {1: "model_name", 2: "model_version"}
BROKEN = "the message is no ModelInferRequest"
VARINT, LONG, SIZED, SHORT = 0, 1, 2, 5  # how a field's value lies on the wire


def outline(body: bytes, tensors: int) -> tuple[str, str | None]:
    """The model's name, and its version if there is one. tensors: most of each kind.

    Raises BadRequest for what is no message, or one of far more fields than the limit explains.
    """
    found, most = {1: "", 2: ""}, 4 * tensors + len(NAMES) + 1
    for count, (number, kind, start, end) in enumerate(_fields(body)):
        if count >= most:
            raise BadRequest(f"more than {most} fields; the limit is {tensors} tensors")
        if kind == SIZED and number in NAMES:
            found[number] = _text(body[start:end], NAMES[number])
    return found[1], found[2] or None


def _fields(body: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Number, kind, and where the value begins and ends."""
    at = 0
    while at < len(body):
        tag, at = _varint(body, at)
        kind = tag & 7
        if kind == SIZED:
            size, at = _varint(body, at)
        elif kind == VARINT:
            size = _varint(body, at)[1] - at
        elif kind in (LONG, SHORT):
            size = 8 if kind == LONG else 4
        else:
            raise BadRequest(BROKEN)
        if at + size > len(body):
            raise BadRequest(BROKEN)
        yield tag >> 3, kind, at, at + size
        at += size


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    found = 0
    for shift, byte in enumerate(body[at : at + 10]):
        found |= (byte & 127) << 7 * shift
        if byte < 128:
            return found, at + shift + 1
    raise BadRequest(BROKEN)


def _text(value: bytes, name: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"{name}: is not UTF-8") from error
