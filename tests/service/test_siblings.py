from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from service.errors import StartupError
from service.siblings import GONE, MOST_PATH, Siblings, meeting_place

COUNT = 4


@pytest.fixture
def folder() -> Any:
    with meeting_place() as found:
        yield found


def together(folder: Path, test: Callable[[list[Siblings]], Awaitable[Any]]) -> Any:
    """Run a test on one loop with siblings that all double numbers and say who did."""

    async def run() -> Any:
        every = [Siblings(folder, index, COUNT) for index in range(COUNT)]
        for one in every:
            one.answer("double", doubling(one.index))
            await one.start()
        try:
            return await test(every)
        finally:
            for one in every:
                await one.stop()

    return asyncio.run(run())


def doubling(index: int) -> Callable[..., Awaitable[list[int]]]:
    async def double(number: int) -> list[int]:
        return [index, 2 * number]

    return double


def test_every_sibling_answers_under_its_number(folder: Path) -> None:
    found = together(folder, lambda every: every[2].ask("double", number=21))
    assert found == {0: [0, 42], 1: [1, 42], 3: [3, 42]}


def test_a_lone_worker_asks_nobody(folder: Path) -> None:
    async def test() -> dict[int, Any]:
        alone = Siblings()
        await alone.start()
        try:
            return await alone.ask("double", number=1)
        finally:
            await alone.stop()

    assert asyncio.run(test()) == {}
    assert not Siblings().any


def test_all_can_ask_at_the_same_time(folder: Path) -> None:
    async def test(every: list[Siblings]) -> list[dict[int, Any]]:
        return await asyncio.gather(*(one.ask("double", number=one.index) for one in every * 20))

    found = together(folder, test)
    assert len(found) == 20 * COUNT
    for i, answers in enumerate(found):
        asker = i % COUNT
        assert answers == {j: [j, 2 * asker] for j in range(COUNT) if j != asker}


def test_who_is_gone_or_silent_or_fails_is_known_and_the_others_answer(folder: Path) -> None:
    async def never(number: int) -> None:
        await asyncio.Event().wait()

    async def fail(number: int) -> None:
        raise ZeroDivisionError

    async def test(every: list[Siblings]) -> dict[int, Any]:
        await every[0].stop()
        every[1].answer("double", never)
        every[2].answer("double", fail)
        every[3].answer("double", doubling(3))
        asking = Siblings(folder, COUNT, COUNT + 1)
        return await asking.ask("double", seconds=0.1, number=2)

    assert together(folder, test) == {0: GONE, 1: None, 2: None, 3: [3, 4]}


def test_a_question_that_nobody_knows_has_no_answer(folder: Path) -> None:
    found = together(folder, lambda every: every[0].ask("treble", number=1))
    assert found == {1: None, 2: None, 3: None}


@pytest.mark.parametrize("said", [b"", b'{"cut": [1, 2', b"\xff\xfe"])
def test_what_is_not_an_answer_is_none(folder: Path, said: bytes) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(said)
        writer.close()

    async def test() -> dict[int, Any]:
        async with await asyncio.start_unix_server(babble, folder / "1"):
            return await Siblings(folder, 0, 2).ask("double", number=1)

    assert asyncio.run(test()) == {1: None}


def test_a_long_answer_arrives_whole(folder: Path) -> None:
    async def recite() -> list[int]:
        return [*range(200_000)]

    async def test(every: list[Siblings]) -> dict[int, Any]:
        every[1].answer("numbers", recite)
        return await every[0].ask("numbers", seconds=30)

    assert together(folder, test)[1] == [*range(200_000)]


def test_the_socket_of_one_that_was_killed_is_no_hindrance(folder: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(folder / "1"))
    left.close()
    found = together(folder, lambda every: every[0].ask("double", number=1))
    assert found[1] == [1, 2]


def test_the_folder_is_this_user_s_alone_and_gone_at_the_end() -> None:
    with meeting_place() as folder:
        (folder / "1").touch()
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


def test_a_folder_with_too_long_a_path_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    long = tmp_path / ("x" * MOST_PATH)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with pytest.raises(StartupError, match="too long a path"), meeting_place():
        pass
    assert not list(long.iterdir())
