from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from service import board
from service.board import Board, share
from service.engine.engine import Engine
from service.settings import Settings
from service.team import Team
from tests.service.engine.doubling import Doubling, a_moment, asked, packed, tokens, with_engine


def test_who_has_nothing_to_do_leaves_its_share_to_the_others(tmp_path: Path) -> None:
    boards = [Board(tmp_path / "board", i, 3, share=2) for i in range(3)]
    assert [own.spare() for own in boards] == [4, 4, 4]
    boards[0].busy(True)
    assert [own.spare() for own in boards] == [4, 2, 2]
    boards[2].busy(True)
    boards[0].busy(False)
    assert [own.spare() for own in boards] == [2, 2, 4]


def test_a_worker_that_takes_the_place_of_one_killed_at_work_is_not_at_work(tmp_path: Path) -> None:
    first, second = (Board(tmp_path / "board", i, 2, share=1) for i in range(2))
    second.busy(True)
    assert first.spare() == 0
    Board(tmp_path / "board", 1, 2, share=1)
    assert first.spare() == 1


def test_threads_come_and_go_with_what_is_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.team.available_cpus", lambda: 4)
    team, spare = Team(1), 0
    team.spare = lambda: spare
    assert team.slice_tokens(4096, 4096) == 4096
    spare = 3
    assert team.count == 4
    assert team.slice_tokens(4096, 4096) == 1024
    assert list(team.map(lambda i: i * i, range(10))) == [i * i for i in range(10)]
    spare = 20
    assert team.count == 4, "more threads than there are CPUs"


def test_an_engine_is_busy_while_anything_is_open(tmp_path: Path) -> None:
    async def test(engine: Engine, session: Doubling) -> None:
        own, other = (Board(tmp_path / "board", i, 2, share=1) for i in range(2))
        engine.observers.append(own)
        session.gate.clear()
        waiting = asked(engine, *[packed(tokens(1))] * 3)
        await a_moment()
        assert other.spare() == 0
        waiting[0].cancel()
        await a_moment()
        assert other.spare() == 0
        session.gate.set()
        await asyncio.gather(*waiting[1:])
        assert other.spare() == 1

    with_engine(test)


@pytest.mark.parametrize(("threads", "workers", "own"), [(0, 4, 2), (0, 16, 1), (3, 4, 3)])
def test_workers_share_the_cpus_unless_told_how_many_threads_each_has(
    threads: int, workers: int, own: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "available_cpus", lambda: 8)
    assert share(Settings(threads=threads, workers=workers)) == own
