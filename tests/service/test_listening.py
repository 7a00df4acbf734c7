from __future__ import annotations

import contextlib
import socket
from collections import Counter
from collections.abc import Iterator

import pytest

from service import listening
from service.errors import StartupError

HOST = "127.0.0.1"


@contextlib.contextmanager
def bound(host: str = HOST, port: int = 0, count: int = 2) -> Iterator[list[list[socket.socket]]]:
    workers = listening.bind(host, port, count)
    try:
        yield workers
    finally:
        listening.close(workers)


def opened(workers: list[list[socket.socket]]) -> int:
    """As workers do it; the port."""
    for sockets in workers:
        listening.release(sockets)
        for one in sockets:
            one.listen()
    port: int = workers[0][0].getsockname()[1]
    return port


def connections(one: socket.socket) -> int:
    one.setblocking(False)
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            one.accept()[0].close()
            count += 1
    return count


def test_workers_share_a_port_and_its_connections() -> None:
    with bound(count=3) as workers, contextlib.ExitStack() as clients:
        port = opened(workers)
        assert {one.getsockname() for sockets in workers for one in sockets} == {(HOST, port)}
        for _ in range(300):
            clients.enter_context(socket.create_connection((HOST, port)))
        found = Counter({i: connections(sockets[0]) for i, sockets in enumerate(workers)})
    assert found.total() == 300
    assert min(found.values()) > 50


def test_nobody_is_let_in_before_a_worker_opens_its_socket() -> None:
    with bound() as workers:
        port = workers[0][0].getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, port))
        opened(workers[1:])
        socket.create_connection((HOST, port)).close()
        assert connections(workers[1][0]) == 1


def test_connections_wait_for_the_next_worker_as_long_as_the_parent_holds_the_socket() -> None:
    with bound(count=1) as workers:
        port = opened(workers)
        parent = workers[0][0].dup()
        workers[0][0].close()  # the worker is gone
        with parent, socket.create_connection((HOST, port)):
            assert connections(parent) == 1
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, port))


@pytest.mark.parametrize("option", [socket.SO_REUSEADDR, socket.SO_REUSEPORT])
def test_a_port_where_somebody_listens_is_refused_even_if_they_would_share(option: int) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, option, 1)
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StartupError, match=f"cannot listen on {HOST}:{port}"):
            listening.bind(HOST, port, 2)


def test_two_servers_that_both_still_load_do_not_share_a_port() -> None:
    with bound() as workers:
        port = workers[0][0].getsockname()[1]
        with pytest.raises(StartupError, match="cannot listen"):
            listening.bind(HOST, port, 2)
        with socket.socket() as lone:
            lone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="in use"):
                lone.bind((HOST, port))
    with bound(port=port):
        pass


def test_what_connections_leave_behind_is_in_nobody_s_way() -> None:
    with bound() as workers:
        port = opened(workers)
        for _ in range(20):
            with socket.create_connection((HOST, port)) as client:
                assert sum(connections(sockets[0]) for sockets in workers) == 1  # closes first
                assert client.recv(1) == b""
    with bound(port=port) as workers:
        assert opened(workers) == port
    with socket.create_server((HOST, port)) as lone:
        assert lone.getsockname()[1] == port


@pytest.mark.parametrize("host", ["::1", "localhost", "0.0.0.0"])
def test_a_worker_listens_on_every_address_of_the_host(host: str) -> None:
    families = {family for family, *_ in socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)}
    with bound(host) as workers:
        port = opened(workers)
        for sockets in workers:
            assert {one.family for one in sockets} == families
            assert {one.getsockname()[1] for one in sockets} == {port}
        socket.create_connection((host, port)).close()


def test_a_host_that_is_none_is_refused() -> None:
    with pytest.raises(StartupError, match=r"cannot listen on nobody\.invalid:80"):
        listening.bind("nobody.invalid", 80, 2)


def test_connections_go_to_the_others_until_somebody_listens_again() -> None:
    with bound() as workers, contextlib.ExitStack() as clients:
        port = opened(workers)
        (first,), (second,) = workers
        held = clients.enter_context(first.dup())  # as a worker's parent has a hold on it
        listening.leave([first])
        first.close()
        for _ in range(40):
            clients.enter_context(socket.create_connection((HOST, port)))
        assert connections(second) == 40
        held.listen()
        for _ in range(100):
            clients.enter_context(socket.create_connection((HOST, port)))
        assert 0 < connections(held) < 100


def test_a_socket_that_nobody_listens_on_may_be_left() -> None:
    with bound() as workers:
        listening.leave(workers[0])
        assert opened(workers) > 0
