from __future__ import annotations

import asyncio
import errno
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from service.errors import SettingsError, SpoolFull
from service.stages import Feeds
from service.streams.spool import Space, Spool
from tests.service.streams.talk import until

MIB = 2**20


def piece(number: int, tokens: int = 100, width: int = 4) -> Feeds:
    rng = np.random.default_rng(number)
    return {
        "hidden": rng.normal(size=(tokens, width)).astype(np.float32),
        "more": rng.integers(0, 9, tokens),
    }


def space(folder: Path, most: int = MIB, most_each: int = MIB) -> Space:
    return Space(folder, most, most_each)


async def read(spool: Spool) -> list[Feeds]:
    return [kept async for kept in spool.pieces()]


def check(found: list[Feeds], wanted: list[Feeds]) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], strict=True)


@pytest.mark.parametrize("memory", [0, 3000, MIB])
@pytest.mark.parametrize("width", [4, 2, 9])
def test_what_is_kept_is_read_again_and_may_be_written_over(
    tmp_path: Path, memory: int, width: int
) -> None:
    async def passes() -> None:
        spool, first = Spool(space(tmp_path), memory), [piece(i, 50 + i) for i in range(9)]
        second = [piece(100 + i, 50 + i, width) for i in range(9)]
        for one in first:
            await spool.append(one)
        number, found = 0, []
        async for kept in spool.pieces():
            found.append({name: values.copy() for name, values in kept.items()})
            await spool.replace(number, second[number])
            number += 1
        check(found, first)
        check(await read(spool), second)
        spool.close()

    asyncio.run(passes())


def test_what_is_smaller_takes_no_more_room(tmp_path: Path) -> None:
    async def passes() -> None:
        spool = Spool(space(tmp_path))
        await spool.append(piece(0))
        before = spool.bytes
        async for _ in spool.pieces():
            await spool.replace(0, piece(1, width=3))
        assert spool.bytes == before
        spool.close()

    asyncio.run(passes())


def open_files(folder: Path) -> list[str]:
    links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    return [os.readlink(link) for link in links if os.path.lexists(link)
            and os.readlink(link).startswith(str(folder))]  # fmt: skip


def test_little_stays_in_memory_and_a_file_has_no_name(tmp_path: Path) -> None:
    async def kept() -> None:
        spool = Spool(space(tmp_path), memory_bytes=5000)
        await spool.append(piece(0))
        assert not open_files(tmp_path)
        for i in range(5):
            await spool.append(piece(i))
        assert len(open_files(tmp_path)) == 1
        assert not os.listdir(tmp_path)
        spool.close()
        await until(lambda: not open_files(tmp_path))

    asyncio.run(kept())


def test_the_loop_does_not_wait_for_a_slow_disk_when_it_lets_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, written = threading.Event(), threading.Event(), list[bool]()

    def slowly(_: bytes) -> None:
        begun.set()
        written.append(go_on.wait(2))

    async def kept() -> None:
        own = space(tmp_path)
        spool = Spool(own, memory_bytes=1)
        monkeypatch.setattr(spool._file, "write", slowly)
        writing = asyncio.create_task(spool.append(piece(0)))
        await until(begun.is_set)
        spool.close()
        assert not written, "the disk is still at it"
        assert own.taken == 2400, "as is what it has"
        go_on.set()
        await writing
        await until(lambda: own.taken == 0)
        assert spool._file.closed

    asyncio.run(kept())


def test_limits_are_of_each_stream_and_of_all(tmp_path: Path) -> None:
    async def fill() -> None:
        own = space(tmp_path, most=6000, most_each=5000)
        first, second = Spool(own), Spool(own)
        await first.append(piece(0))  # 2400 bytes each
        await first.append(piece(1))
        with pytest.raises(SpoolFull, match="more than the limit of 5000 bytes per stream"):
            await first.append(piece(2))
        with pytest.raises(SpoolFull, match="keep 4800 bytes between passes; the limit is 6000"):
            await second.append(piece(0))
        first.close()
        await second.append(piece(0))
        assert own.taken == 2400
        second.close()
        second.close()
        assert own.taken == 0

    asyncio.run(fill())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_is_full_is_a_507(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(number, "full")

    async def kept() -> None:
        spool = Spool(space(tmp_path), memory_bytes=1)
        monkeypatch.setattr(spool._file, "write", full)
        with pytest.raises(SpoolFull, match="no room left"):
            await spool.append(piece(0))
        spool.close()

    asyncio.run(kept())


def test_nothing_is_written_once_it_is_closed(tmp_path: Path) -> None:
    """As when a client leaves while a thread is writing."""
    spool = Spool(space(tmp_path), memory_bytes=1)
    spool.close()
    spool._put(0, b"late")
    assert not open_files(tmp_path)


def test_a_folder_that_is_none_is_a_setting_gone_wrong(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"SUMSERVE_SPOOL_FOLDER: .*nowhere is not a folder"):
        space(tmp_path / "nowhere")
