"""The methods of the Open Inference Protocol: an application like that over HTTP, whose bodies are
messages. It knows nothing of how they come and go.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any

from google.protobuf.json_format import ParseDict
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service import schema, tracing
from service.application import Service
from service.catalog import Served
from service.complaint import on_bug, on_service_error
from service.errors import BadRequest, ServiceError, TooLarge, UnknownModel
from service.gate import role
from service.prediction import respond_to
from service.repository.control import Control
from service.repository.index import index
from service.routes.repository import ChangeRequest, Parameters, refused
from service.rpc.messages import methods, parsed
from service.rpc.outline import outline
from service.rpc.wire import infer
from service.whole import Whole
from service.wires import oip_metadata

MOST_BYTES = 2**16  # of a message that has no tensors
NOT_HERE = {"binary_tensor_data"}  # of the extensions: over HTTP only

Answer = Callable[[Any], Awaitable[Mapping[str, Any]]]  # a message -> its answer's fields


class Methods:
    """ASGI: all methods, by their paths."""

    def __init__(self, service: Service, whole: Whole, control: Control) -> None:
        self._service, self._whole, self._control = service, whole, control
        self._answers: dict[str, Answer] = {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ServerMetadata": self._server_metadata,
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model_metadata,
            "ModelConfig": self._model_config,
            "ModelStatistics": self._model_statistics,
            "RepositoryIndex": self._repository_index,
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. The body comes in one message."""
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except ServiceError as error:
            response = await on_service_error(request, error)
        except Exception as error:
            await (await on_bug(request, error))(scope, receive, send)
            raise
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        started, path = time.perf_counter(), request.scope["path"]
        if role(path) is None:  # for everybody: nothing is read of whoever it is
            return await self._answer(path, b"")
        with self._service.bodies.holding() as held:
            body = (await request.receive())["body"]
            held.take(len(body))
            if path.endswith("/ModelInfer"):
                tracing.part(request.scope, "receive", started, time.perf_counter())
                model = outline(body, self._service.limits.tensors)
                return await respond_to(self._service, infer, request, model, body, started)
            if len(body) > MOST_BYTES:
                raise TooLarge(f"the message is larger than the limit of {MOST_BYTES} bytes")
            return await self._answer(path, body)

    async def _answer(self, path: str, body: bytes) -> Response:
        method = methods()[path]
        said = await self._answers[path.rpartition("/")[2]](parsed(method.request, body))
        return Response(ParseDict(said, method.response()).SerializeToString())

    def _find(self, message: Any) -> Served:
        return self._service.catalog.find(message.name, message.version or None)

    async def _server_live(self, _: Any) -> Mapping[str, Any]:
        return {"live": not self._service.readiness.stuck}

    async def _server_ready(self, _: Any) -> Mapping[str, Any]:
        return {"ready": not await self._whole.reason()}

    async def _server_metadata(self, _: Any) -> Mapping[str, Any]:
        extensions = [own for own in oip_metadata.EXTENSIONS if own not in NOT_HERE]
        return {"name": "sumserve", "version": schema.VERSION, "extensions": extensions}

    async def _model_ready(self, message: Any) -> Mapping[str, Any]:
        """Of a model that is not served, too: it is not."""
        try:
            self._find(message)
        except UnknownModel:
            return {"ready": False}
        return {"ready": not await self._whole.reason()}

    async def _model_metadata(self, message: Any) -> Mapping[str, Any]:
        served = self._find(message)
        versions = self._service.catalog.versions(message.name)
        return oip_metadata.metadata(served.manifest, versions)

    async def _model_config(self, message: Any) -> Mapping[str, Any]:
        return {"config": oip_metadata.config(self._find(message).manifest)}

    async def _model_statistics(self, message: Any) -> Mapping[str, Any]:
        every = [*self._service.catalog]
        if message.name:
            found = self._find(message)
            versions = self._service.catalog.versions(message.name)
            every = [found] if message.version else [*versions.values()]
        found_of = await self._whole.statistics(own.manifest for own in every)
        return {"model_stats": [_filled(own) for own in found_of]}

    async def _repository_index(self, message: Any) -> Mapping[str, Any]:
        _check_repository(message)
        found = index(self._service.repository, self._service.readiness.failing)
        chosen = [own for own in found if own.state == "READY" or not message.ready]
        return {"models": [asdict(own) for own in chosen]}

    async def _load(self, message: Any) -> Mapping[str, Any]:
        await self._control.load(message.model_name, _asked(message).version)
        return {}

    async def _unload(self, message: Any) -> Mapping[str, Any]:
        await self._control.unload(message.model_name, _asked(message).version)
        return {}


def _filled(statistics: Mapping[str, Any]) -> dict[str, Any]:
    """Without the parts that are always empty: there are no messages for them."""
    return {name: value for name, value in statistics.items() if value not in ({}, [])}


def _asked(message: Any) -> Parameters:
    """The parameters of a load or an unload, as they are over HTTP."""
    _check_repository(message)
    given = {}
    for key, value in message.parameters.items():
        choice = value.WhichOneof("parameter_choice")
        given[key] = getattr(value, choice) if choice else None
    try:
        return ChangeRequest.model_validate({"parameters": given}).parameters
    except ValidationError as error:
        raise refused(error) from error


def _check_repository(message: Any) -> None:
    if message.repository_name:
        raise BadRequest("repository_name: there is one repository, which has no name")
