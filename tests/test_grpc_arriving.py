"""A server whose calls' messages do not come, come too slowly, or are too large."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import tritonclient.grpc as triton
from grpc import StatusCode

from tests.conftest import ROOT, SHIPPED
from tests.hostile import MIB
from tests.service.processes import until
from tests.test_grpc import Server, ragged

INFER = "/inference.GRPCInferenceService/ModelInfer"
LIVE = "/inference.GRPCInferenceService/ServerLive"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """With room for one message that arrives for long."""
    with Server(max_body_bytes=MIB, max_in_flight_bytes=MIB) as process:
        yield process


class Silent:
    """Calls whose messages do not come."""

    def __init__(self, channel: grpc.Channel, path: str = INFER, count: int = 1) -> None:
        self.over = threading.Event()
        method = channel.stream_unary(path)
        self.calls: list[Any] = [method.future(self._nothing()) for _ in range(count)]

    def _nothing(self) -> Iterator[bytes]:
        self.over.wait(60)
        yield from ()

    def done(self) -> list[Any]:
        return [call for call in self.calls if call.done()]


def statuses(server: Server, path: str = INFER) -> list[int]:
    return [line["status"] for line in server.log_lines() if line.get("path") == path]


def works(server: Server) -> bool:
    with triton.InferenceServerClient(server.grpc) as client:
        return bool(client.infer("polynomial", ragged()).as_numpy("y").shape == (10, 4))


def test_calls_that_send_nothing_have_few_places_and_keep_nobody_waiting(server: Server) -> None:
    with grpc.insecure_channel(server.grpc) as channel:
        silent = Silent(channel, count=5)
        until(lambda: len(silent.done()) == 4, "all but one are refused")
        refused = silent.done()
        assert {call.code() for call in refused} == {StatusCode.RESOURCE_EXHAUSTED}
        assert "messages are arriving that may be large" in refused[0].details()
        assert works(server)
        silent.over.set()
        until(lambda: len(silent.done()) == 5, "the last has ended")
        (last,) = (call for call in silent.calls if call not in refused)
        assert last.code() is StatusCode.INVALID_ARGUMENT
        assert "the message is missing" in last.details()


def test_what_everybody_may_ask_is_answered_before_its_message_comes(server: Server) -> None:
    with grpc.insecure_channel(server.grpc) as channel:
        silent = Silent(channel, LIVE)
        assert silent.calls[0].result(timeout=30) == b"\x08\x01"
        silent.over.set()
        assert silent.calls[0].code() is StatusCode.OK


def test_a_message_that_is_too_large_is_logged_as_that(server: Server) -> None:
    before = statuses(server).count(413)
    with grpc.insecure_channel(server.grpc) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(INFER)(bytes(2 * MIB))
        error: Any = caught.value
        assert error.code() is StatusCode.RESOURCE_EXHAUSTED
    until(lambda: statuses(server).count(413) == before + 1, "it is logged")
    assert works(server)


def test_a_client_that_leaves_before_its_message_has_come_is_logged_as_that(
    server: Server,
) -> None:
    before = statuses(server).count(499)
    with grpc.insecure_channel(server.grpc) as channel:
        silent = Silent(channel, count=2)
        until(silent.done, "one is refused, as the other has the only place")
        (left,) = (call for call in silent.calls if not call.done())
        left.cancel()
        until(lambda: statuses(server).count(499) == before + 1, "it is logged")
        silent.over.set()
    assert works(server)


def test_a_port_that_is_taken_while_models_load_is_named(tmp_path: Path) -> None:
    with Server() as other:
        port = other.grpc.rpartition(":")[2]
        about = f"models={str(SHIPPED)!r}, port=0, grpc_port={port}"
        code = (
            "import service.server as own; from service.settings import Settings\n"
            f"own.check = lambda settings: None; own.serve(Settings({about}))"
        )
        command = [sys.executable, "-c", code]
        found = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
    assert found.returncode == 1
    last = found.stderr.strip().splitlines()[-1]
    assert last.endswith(f"StartupError: cannot listen on 127.0.0.1:{port} for gRPC")
