"""The protocol's messages and methods as Python has them, made of inference.proto when first asked.

They are in a pool of their own: a client in the same process may bring messages of the same names.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from service.errors import BadRequest
from service.rpc.proto import described

FILE, SERVICE = "inference.proto", "GRPCInferenceService"


@dataclass(frozen=True, slots=True)
class Method:
    """What it is asked with and what it answers: classes of messages."""

    request: Any
    response: Any


@cache
def file() -> Any:
    """The file's descriptor."""
    text = (files("service.rpc") / FILE).read_text()
    pool = DescriptorPool()
    pool.AddSerializedFile(described(text, FILE).SerializeToString())
    return pool.FindFileByName(FILE)


@cache
def message(name: str) -> Any:
    """The class of a message."""
    return GetMessageClass(file().message_types_by_name[name])


@cache
def methods() -> dict[str, Method]:
    """All of the service, by the paths they are called at."""
    service = file().services_by_name[SERVICE]
    return {
        f"/{service.full_name}/{own.name}": Method(
            GetMessageClass(own.input_type), GetMessageClass(own.output_type)
        )
        for own in service.methods
    }


def parsed(kind: Any, body: bytes) -> Any:
    """A message of that class; BadRequest where it is none."""
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise BadRequest(f"the message is no {kind.DESCRIPTOR.name}") from error
