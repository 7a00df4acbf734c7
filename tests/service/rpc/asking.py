"""Messages of the protocol, made by hand, and an application to send them to."""

from __future__ import annotations

from typing import Any

from service.application import Service
from service.keys import Keys
from service.pack import Array
from service.repository.control import Control
from service.rpc.messages import file, message
from service.rpc.server import application
from service.rpc.wire import CONTENTS
from service.siblings import Siblings
from service.whole import Whole
from service.wires.tensors import BYTES, Tensor, to_bytes
from tests.service.client import Client
from tests.service.wires.oip import described

PATH = f"/{file().package}.GRPCInferenceService"
CHOICES = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}


def infer_request(
    tensors: dict[str, Array],
    raw: bool = True,
    parameters: dict[str, Any] | None = None,
    outputs: dict[str, dict[str, Any]] | None = None,
    **fields: Any,
) -> Any:
    """A ModelInferRequest; raw, or with values listed one by one. outputs: parameters by name."""
    found = message("ModelInferRequest")(**fields)
    set_parameters(found, parameters or {})
    for name, array in tensors.items():
        own = found.inputs.add(**described(name, array))
        if raw:
            tensor = Tensor(name, own.datatype, array)
            found.raw_input_contents.append(bytes(to_bytes(tensor)))
        else:
            flat = array.ravel().tolist()
            values = [word.encode() for word in flat] if own.datatype == BYTES else flat
            getattr(own.contents, CONTENTS[own.datatype]).extend(values)
    for name, asked in (outputs or {}).items():
        set_parameters(found.outputs.add(name=name), asked)
    return found


def set_parameters(of: Any, given: dict[str, Any]) -> None:
    for key, value in given.items():
        setattr(of.parameters[key], CHOICES[type(value)], value)


def client(service: Service, keys: Keys | None = None) -> Client:
    """It sends messages as bodies of requests."""
    alone = Siblings()
    whole, control = Whole(service, alone), Control(service.repository, alone)
    return Client(application(service, whole, control, keys))


def ask(to: Client, method: str, headers: dict[str, str] | None = None, **fields: Any) -> Any:
    """The message that a method answers; AssertionError with the error where it does not."""
    asked = message(f"{method}Request")(**fields)
    answer = to.post(f"{PATH}/{method}", content=asked.SerializeToString(), headers=headers or {})
    assert answer.status_code == 200, answer.text
    return message(f"{method}Response").FromString(answer.content)
