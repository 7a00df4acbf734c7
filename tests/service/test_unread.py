"""Who takes nothing of what was sent loses the connection; who is slow does not."""

from __future__ import annotations

import asyncio

from service.unread import Unread


class Transport(asyncio.Transport):
    """Whose client has still to read so many bytes."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left, self.aborted = left, False

    def get_write_buffer_size(self) -> int:
        return self.left

    def abort(self) -> None:
        self.aborted = True


def aborted(reads: int, left: int = 100) -> bool:
    """Of a client that takes so much from look to look."""

    async def run() -> bool:
        transport = Transport(left)
        unread = Unread(transport, asyncio.get_running_loop(), 0.0)
        unread.watch()
        for _ in range(50):
            transport.left = max(0, transport.left - reads)
            await asyncio.sleep(0)
        return transport.aborted

    return asyncio.run(run())


def test_who_takes_nothing_is_let_go() -> None:
    assert aborted(reads=0)


def test_who_takes_a_little_at_a_time_is_not() -> None:
    assert not aborted(reads=3)
    assert not aborted(reads=100)
