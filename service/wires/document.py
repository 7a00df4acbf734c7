"""JSON without Python objects: numbers go from the parser's memory into arrays.

The parser flattens what it copies: [[1, 2], [3]] and [[1], [[2], 3]] alike. So whoever copies
counts the lists there ought to be: a document with more of them has one where none belongs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import orjson
import simdjson

from service.errors import BadRequest, quoted
from service.pack import Array

Json = simdjson.Array | simdjson.Object | str | int | float | bool | None

LOCATE_BYTES = 2**20  # of a body whose error is looked for once more, to say where it is
NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
UNCOUNTED = 2**24 - 1  # the parser counts a list's values in 24 bits
MOST_FIELDS = 512  # of an object
PIECE = 2**20  # bytes looked at together
SHALLOW = 2**12  # brackets

DTYPES = {"d": np.float64, "i": np.int64, "u": np.uint64}
KINDS: dict[type, str] = {
    simdjson.Object: "an object",
    simdjson.Array: "a list",
    str: "a string",
    bool: "a boolean",
    float: "a float",
    int: "an integer",
    type(None): "null",
}


class Document:
    """A parsed body. lists: how many it has; more where strings have brackets in them."""

    def __init__(self, body: bytes | bytearray, max_depth: int) -> None:
        """Parse, or raise BadRequest saying why not and, of a small body, where."""
        brackets = body.translate(None, NOT_BRACKETS)
        if not _shallow(brackets, max_depth) and _depth(brackets) > max_depth:
            raise BadRequest(f"the body is nested deeper than {max_depth} levels")
        try:
            self.root: Json = simdjson.Parser().parse(body)
        except (ValueError, RuntimeError) as error:
            raise BadRequest(f"the body is not valid JSON: {_reason(body, error)}") from error
        self.lists = brackets.count(b"[")


def kind(value: Json) -> str:
    """What a value is, in words."""
    return KINDS[type(value)]


def fields(
    value: Json, what: str, known: Sequence[str] = (), most: int = MOST_FIELDS
) -> dict[str, Any]:
    """An object's fields; BadRequest where it is none, has others, too many, or one twice."""
    if not isinstance(value, simdjson.Object):
        raise BadRequest(f"{what}: must be an object, not {kind(value)}")
    if len(value) > most:
        raise BadRequest(f"{what}: {len(value)} fields, the limit is {most}")
    if any("\0" in name for name in value):  # the parser would look for what comes before it
        raise BadRequest(f"{what}: a field's name has a NUL in it")
    found = {name: value[name] for name in value}  # `items` would make Python objects of them
    for name in found:
        if known and name not in known:
            raise BadRequest(
                f"{what}: unknown field {quoted(name, 40)}; there are {', '.join(known)}"
            )
    if len(found) < len(value):
        raise BadRequest(f"{what}: a field is given twice")
    return found


def listed(value: Json, what: str, of: str) -> simdjson.Array:
    """A list; BadRequest where it is none, or so long that the parser does not count it."""
    if not isinstance(value, simdjson.Array):
        raise BadRequest(f"{what}: must be a list of {of}, not {kind(value)}")
    if len(value) >= UNCOUNTED:
        raise BadRequest(f"{what}: {UNCOUNTED} or more {of} in one list; use a binary form")
    return value


def numbers(value: simdjson.Array, of: Literal["d", "i", "u"]) -> Array | None:
    """All numbers of a list and of the lists in it; None where there is anything else.

    ``of`` is d for float64, i for int64 or u for uint64.
    """
    try:
        return np.frombuffer(value.as_buffer(of_type=of), DTYPES[of])
    except (TypeError, ValueError):
        return None


def _shallow(brackets: bytes | bytearray, most: int) -> bool:
    """Whether they are too few to be nested deeper, once the innermost are gone: most bodies."""
    left = brackets[:SHALLOW].replace(b"[]", b"").replace(b"[]", b"")
    return len(brackets) <= SHALLOW and len(left) + 2 <= most


def _depth(brackets: bytes | bytearray) -> int:
    """How deep brackets are nested; those in strings count too."""
    deepest = depth = 0
    for start in range(0, len(brackets), PIECE):
        found = np.frombuffer(brackets[start : start + PIECE], np.uint8)
        steps = np.where((found == ord("[")) | (found == ord("{")), 1, -1)
        levels = depth + np.cumsum(steps, dtype=np.int32)
        deepest, depth = max(deepest, int(levels.max())), int(levels[-1])
    return deepest


def _reason(body: bytes | bytearray, error: Exception) -> str:
    """Why a body cannot be parsed: by line and column, where it is small."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if "BIGINT" in str(error):
        return "an integer needs more than 64 bits"
    if len(body) <= LOCATE_BYTES:
        try:
            orjson.loads(body)
        except orjson.JSONDecodeError as located:
            return str(located)
    return str(error).partition(": ")[2].partition(", etc")[0] or "it cannot be parsed"
