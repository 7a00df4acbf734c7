from __future__ import annotations

import asyncio
import socket
from typing import Any

import grpc
import pytest

from benchmarks.process import free_port
from service.errors import SettingsError, StartupError
from service.readiness import Readiness
from service.repository.control import Control
from service.rpc import start
from service.rpc.server import SPARE_CALLS, STREAMS, address, listen, options, serve
from service.settings import Settings
from service.siblings import Siblings
from service.whole import Whole
from tests.service.fakes import service


def settings(**given: Any) -> Settings:
    return Settings.model_validate(given)


def without_grpc(name: str) -> object | None:
    return None if name == "grpc" else name


def test_without_grpcio_a_port_for_it_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "find_spec", without_grpc)
    start.check(settings())
    with pytest.raises(StartupError, match=r"grpcio is not installed: pip install 'sumserve\[grpc"):
        start.check(settings(grpc_port=free_port()))


def test_a_port_that_somebody_has_is_refused_before_anything_is_loaded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartupError, match=f"cannot listen on 127.0.0.1:{port}"):
            start.check(settings(grpc_port=port))
    start.check(settings(grpc_port=port))


def test_both_ports_must_differ() -> None:
    with pytest.raises(SettingsError, match="grpc_port and port are both 8080"):
        start.check(settings(grpc_port=8080))


@pytest.mark.parametrize(("host", "found"), [("0.0.0.0", "0.0.0.0:9000"), ("::1", "[::1]:9000")])
def test_an_address_is_written_as_grpc_reads_it(host: str, found: str) -> None:
    assert address(settings(host=host, grpc_port=9000)) == found


def test_only_workers_share_a_port() -> None:
    assert dict(options(settings()))["grpc.so_reuseport"] == 0
    assert dict(options(settings(workers=2)))["grpc.so_reuseport"] == 1


def test_a_connection_has_so_many_calls_at_a_time() -> None:
    assert dict(options(settings()))["grpc.max_concurrent_streams"] == STREAMS


def test_a_port_that_somebody_took_meanwhile_is_named() -> None:
    class Server:
        def add_insecure_port(self, address: str) -> int:
            raise RuntimeError(f"Failed to bind to address {address}")

    readiness = Readiness()
    with pytest.raises(StartupError, match=r"cannot listen on 127\.0\.0\.1:9000 for gRPC"):
        listen(Server(), settings(grpc_port=9000), readiness)
    assert readiness.unable == "cannot listen on 127.0.0.1:9000 for gRPC"


def test_there_are_some_more_calls_at_a_time_than_may_wait_and_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class StopError(Exception):
        pass

    def made(**about: Any) -> None:
        seen.update(about)
        raise StopError

    async def serving() -> None:
        own, alone = service(queue_requests=7), Siblings()
        whole, control = Whole(own, alone), Control(own.repository, alone)
        async with serve(own, whole, control, None, None):
            raise AssertionError("it serves")

    seen = dict[str, Any]()
    monkeypatch.setattr(grpc.aio, "server", made)
    with pytest.raises(StopError):
        asyncio.run(serving())
    assert seen["maximum_concurrent_rpcs"] == 7 + SPARE_CALLS
