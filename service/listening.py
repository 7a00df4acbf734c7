"""The sockets of several workers: all on one address, over which the kernel spreads connections.

They are bound before the workers start, and each is opened by its worker once that can serve: until
then a connection is refused, as it is by a server of one worker.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from service.errors import StartupError


def bind(host: str, port: int, count: int) -> list[list[socket.socket]]:
    """For each of so many workers a socket per address of the host, all on one port.

    port: 0 takes a free one. Raises StartupError where anybody else has it.
    """
    workers: list[list[socket.socket]] = [[] for _ in range(count)]
    taken = port
    try:
        for family, address in _addresses(host, port):
            # A socket that shares would be let in beside others of this user's that share.
            with _bound(family, (address[0], taken, *address[2:])) as alone:
                taken = alone.getsockname()[1]
                for sockets in workers:
                    sockets.append(_shared(family, alone.getsockname()))
    except OSError as error:
        close(workers)
        raise StartupError(f"cannot listen on {host}:{port}") from error
    return workers


def close(workers: Iterable[Iterable[socket.socket]]) -> None:
    """This process's hold on them; a worker's own stays."""
    for sockets in workers:
        for one in sockets:
            one.close()


def leave(sockets: Iterable[socket.socket]) -> None:
    """Let no more connections come to them, whoever else has a hold on them, until one listens on
    them again: the kernel sends them to the other workers.
    """
    for one in sockets:
        with suppress(OSError):  # nobody listened
            one.shutdown(socket.SHUT_RD)


def release(sockets: Iterable[socket.socket]) -> None:
    """Just before they are opened: what their connections leave behind must be in nobody's way."""
    for one in sockets:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def _addresses(host: str, port: int) -> Iterator[tuple[int, Any]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    yield from dict.fromkeys((family, address) for family, _, _, _, address in found)


def _shared(family: int, address: Any) -> socket.socket:
    """One of several on that address.

    Bound but not open yet, it would let another server in that is not open either; so it is not to
    be reused until it is released.
    """
    found = _bound(family, address, socket.SO_REUSEPORT)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    return found


def _bound(family: int, address: Any, *options: int) -> socket.socket:
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        for option in (socket.SO_REUSEADDR, *options):
            found.setsockopt(socket.SOL_SOCKET, option, 1)
        if family == socket.AF_INET6:  # the same port of IPv4 is another address, as in asyncio
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        found.bind(address)
    except OSError:
        found.close()
        raise
    return found
