from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from service.gathering import MUCH, Gathering


class Recording(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__({"peername": ("there", 1)})
        self.sent: list[str] = []

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        self.sent.append(b"".join(list_of_data).decode())

    def close(self) -> None:
        self.sent.append("closed")

    def abort(self) -> None:
        self.sent.append("aborted")


def test_what_is_written_together_is_sent_together() -> None:
    async def test() -> None:
        recording = Recording()
        gathering = Gathering(recording, asyncio.get_running_loop())
        gathering.write(b"head ")
        gathering.write(b"body")
        assert recording.sent == []
        gathering.send()
        assert recording.sent == ["head body"]
        await asyncio.sleep(0)
        assert recording.sent == ["head body"], "it was sent twice"

    asyncio.run(test())


def test_what_nobody_sends_goes_out_on_the_next_turn() -> None:
    async def test() -> None:
        recording = Recording()
        gathering = Gathering(recording, asyncio.get_running_loop())
        for word in b"one ", b"two ":
            gathering.write(word)
        await asyncio.sleep(0)
        gathering.write(b"three")
        await asyncio.sleep(0)
        assert recording.sent == ["one two ", "three"]

    asyncio.run(test())


def test_a_close_comes_after_what_was_written_and_an_abort_instead() -> None:
    async def test() -> None:
        recording = Recording()
        gathering = Gathering(recording, asyncio.get_running_loop())
        gathering.write(b"last words")
        gathering.close()
        assert recording.sent == ["last words", "closed"]
        gathering.abort()
        assert recording.sent[2:] == ["aborted"]
        assert gathering.get_extra_info("peername") == ("there", 1)

    asyncio.run(test())


def test_what_is_much_is_sent_at_once_so_that_the_transport_can_say_stop() -> None:
    async def test() -> None:
        recording = Recording()
        gathering = Gathering(recording, asyncio.get_running_loop())
        gathering.write(b"head ")
        gathering.write(b"x" * MUCH)
        assert recording.sent == ["head " + "x" * MUCH]
        gathering.write(b"more")
        assert len(recording.sent) == 1

    asyncio.run(test())
