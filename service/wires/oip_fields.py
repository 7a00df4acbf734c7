"""The fields of an Open Inference Protocol request, one by one, each checked for what it may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import simdjson

from service.engine.job import DEFAULT_PRIORITY
from service.errors import BadRequest, quoted
from service.wires.document import fields, kind, listed
from service.wires.tensors import DATATYPES, MOST_AXES

LARGEST = 2**63 - 1  # what a dimension can be; products are Python's, they do not overflow
MOST_BESIDE_0 = 2**20  # no body bounds the product of the other dimensions of what is empty
SEQUENCES = ("sequence_id", "sequence_start", "sequence_end")

Scalar = str | int | float | bool
Parameters = Mapping[str, Scalar]


def identity(value: Any) -> str | None:
    """The request's own id, which its answer has too."""
    if value is not None and not isinstance(value, str):
        raise BadRequest(f"id: must be a string, not {kind(value)}")
    return value


def name(given: Mapping[str, Any], where: str) -> str:
    """What a tensor is called."""
    found = given.get("name")
    if not isinstance(found, str) or not found:
        raise BadRequest(f"{where}: needs a 'name', a string")
    return found


def datatype(given: Mapping[str, Any], where: str) -> str:
    """One of DATATYPES."""
    found = given.get("datatype")
    if not isinstance(found, str) or found not in DATATYPES:
        what = repr(found[:40]) if isinstance(found, str) else kind(found)
        raise BadRequest(f"{where}: datatype is {what}; there are {', '.join(DATATYPES)}")
    return found


def shape(given: Mapping[str, Any], where: str) -> list[int]:
    """1 to MOST_AXES dimensions."""
    if "shape" not in given:
        raise BadRequest(f"{where}: missing field 'shape'")
    return dimensions(listed(given["shape"], f"{where}: shape", "integers"), where)


def dimensions(sizes: Sequence[Any], where: str) -> list[int]:
    """1 to MOST_AXES of them."""
    if not 1 <= len(sizes) <= MOST_AXES:
        raise BadRequest(f"{where}: shape has {len(sizes)} dimensions, not 1 to {MOST_AXES}")
    found = [_dimension(size, where) for size in sizes]
    if 0 in found and prod(size for size in found if size) > MOST_BESIDE_0:
        raise BadRequest(f"{where}: shape {found} is empty, and larger than {MOST_BESIDE_0}")
    return found


def _dimension(size: Any, where: str) -> int:
    if type(size) is not int or not 0 <= size <= LARGEST:
        raise BadRequest(f"{where}: shape: {size if type(size) is int else kind(size)} is no size")
    return size


def parameters(value: Any, where: str) -> dict[str, Scalar]:
    """Strings, numbers and booleans by name; shared memory is not offered."""
    if value is None:
        return {}
    found = fields(value, f"{where}: parameters", ())
    for key, one in found.items():
        if one is None or isinstance(one, simdjson.Array | simdjson.Object):
            raise BadRequest(f"{where}: parameter {quoted(key, 40)} cannot be {kind(one)}")
        check_offered(key, where)
    return found


def check_offered(key: str, where: str) -> None:
    """BadRequest for a parameter of an extension that is not offered."""
    if key.startswith("shared_memory"):
        raise BadRequest(f"{where}: shared memory is not offered; send and receive the data")


def binary_size(given: Parameters, has_data: bool, where: str) -> int | None:
    """How many bytes a tensor has behind the JSON; None where its data are in it."""
    if ("binary_data_size" in given) == has_data:
        what = "both 'data' and" if has_data else "neither 'data' nor"
        raise BadRequest(f"{where}: has {what} a binary_data_size")
    return None if has_data else _count(given, "binary_data_size", where)


def flag(given: Parameters, key: str, where: str, default: bool = False) -> bool:
    """A boolean parameter."""
    found = given.get(key, default)
    if not isinstance(found, bool):
        raise BadRequest(f"{where}: parameter {key!r} must be true or false")
    return found


def classes(given: Parameters, where: str) -> int:
    """``classification``: how many of the largest values are wanted; 0 for all, as numbers."""
    return _count(given, "classification", where)


def timeout(given: Parameters) -> float | None:
    """``timeout``, in microseconds, as seconds; None for 0, which is no limit."""
    return _count(given, "timeout", "the request") / 1e6 or None


def priority(given: Parameters) -> int:
    """``priority``: 1 is the highest, and 0 the model's own, which is the lowest."""
    return min(_count(given, "priority", "the request"), DEFAULT_PRIORITY) or DEFAULT_PRIORITY


def check_stateless(given: Parameters) -> None:
    """BadRequest for a request that is one of a sequence of requests: no state is kept."""
    for key in SEQUENCES:
        if given.get(key):
            raise BadRequest(f"parameter {key!r}: no state is kept between requests")


def _count(given: Parameters, key: str, where: str) -> int:
    found = given.get(key, 0)
    if type(found) is not int or found < 0:
        raise BadRequest(f"{where}: parameter {key!r} must be a whole number, 0 or more")
    return found
