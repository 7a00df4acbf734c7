"""Whether gRPC is served, and can be: asked before anything is loaded, and without grpcio."""

from __future__ import annotations

import os
from contextlib import AbstractAsyncContextManager, nullcontext
from importlib.util import find_spec

from service import listening
from service.application import Service
from service.errors import SettingsError, StartupError
from service.keys import Keys
from service.repository.control import Control
from service.settings import Settings
from service.tracing import Spans
from service.whole import Whole

MISSING = "grpc_port is set, and grpcio is not installed: pip install 'sumserve[grpc]'"


def check(settings: Settings) -> None:
    """StartupError where gRPC is to be served and cannot be."""
    if not settings.grpc_port:
        return
    if not (find_spec("grpc") and find_spec("google") and find_spec("google.protobuf")):
        raise StartupError(MISSING)
    if settings.grpc_port == settings.port:
        raise SettingsError(f"grpc_port and port are both {settings.port}; each needs its own")
    # gRPC opens its port late, and in every worker by itself: others may be on it.
    listening.close(listening.bind(settings.host, settings.grpc_port, 1))


def beside(
    service: Service, whole: Whole, control: Control, keys: Keys | None, spans: Spans | None
) -> AbstractAsyncContextManager[None]:
    """Serves gRPC, as long as it is open; or nothing where no port is set for it."""
    if not service.settings.grpc_port:
        return nullcontext()
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what it writes itself is not JSON
    from service.rpc.server import serve

    return serve(service, whole, control, keys, spans)
