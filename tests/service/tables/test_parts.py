from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from service.session import Session
from service.tables import files, grouped, job
from tests.conftest import ROOT
from tests.service.tables.table import LENGTHS, assert_answers, pack, predict, table
from tests.service.tables.test_grouped import BY, long_table

SLOW = """
import sys, time
from service.cli import main
from service.session import Session
from service.tables import files, job

files.BATCH_BYTES, job.PART_SECONDS, run = 1000, 0.0, Session.run
Session.run = lambda self, pack: (time.sleep(0.5), run(self, pack))[1]
main(sys.argv[1:])
"""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part for every batch, and many batches."""
    monkeypatch.setattr(files, "BATCH_BYTES", 1_000)
    monkeypatch.setattr(grouped, "BATCH_TOKENS", 8)
    monkeypatch.setattr(job, "PART_SECONDS", 0.0)


def stop_after(packs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions that are interrupted."""
    run, left = Session.run, iter(range(packs))

    def interrupted(self: Session, *args: Any) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return run(self, *args)

    monkeypatch.setattr(Session, "run", interrupted)


@pytest.mark.parametrize("by", [(), BY])
def test_a_stopped_run_goes_on_where_it_was_and_gives_the_same_file(
    by: tuple[str, ...], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, whole, out = (tmp_path / f"{name}.parquet" for name in ("in", "whole", "out"))
    pq.write_table(long_table()[0] if by else table(pack()), source, row_group_size=7)
    assert predict(folder, source, whole, *by) == 0
    for packs in (0, 1, 2):
        with pytest.MonkeyPatch.context() as patched:
            stop_after(packs, patched)
            assert predict(folder, source, out, *by) == 130
        assert not out.exists()
    with pytest.MonkeyPatch.context() as patched:
        stop_after(100, patched)
        assert predict(folder, source, out, *by) == 0
    assert "rows were there from an earlier run" in capsys.readouterr().err
    assert out.read_bytes() == whole.read_bytes()
    assert not (tmp_path / "out.parquet.parts").exists()


def test_a_killed_process_loses_nothing_that_was_finished(
    folder: Path, session: Session, tmp_path: Path
) -> None:
    source, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(table(pack()), source)
    command = [sys.executable, "-c", SLOW, "predict", str(folder), str(source), str(out)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    second = tmp_path / "out.parquet.parts" / "000001.parquet"
    while not second.exists() and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert second.exists()
    assert not out.exists()
    assert predict(folder, source, out) == 0
    assert_answers(pq.read_table(out), session, pack())


def stopped(folder: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A run that was stopped: its source and its OUT."""
    source, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(table(pack()), source)
    with pytest.MonkeyPatch.context() as patched:
        stop_after(1, patched)
        assert predict(folder, source, out) == 130
    return source, out


def test_parts_of_something_else_are_not_taken_up(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = stopped(folder, tmp_path)
    assert predict(folder, source, out, "--keep", "g") == 1
    assert "(keep differs); delete it to start anew" in capsys.readouterr().err
    pq.write_table(table(pack(seed=1)), source)
    assert predict(folder, source, out) == 1
    assert "out.parquet.parts: these parts were made from other things" in capsys.readouterr().err


def test_another_folder_is_left_alone(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(table(pack()), source)
    own = tmp_path / "out.parquet.parts" / "thesis.txt"
    own.parent.mkdir()
    own.write_text("years of work")
    assert predict(folder, source, out) == 1
    assert "it is something else" in capsys.readouterr().err
    assert own.read_text() == "years of work"


def test_a_bad_row_can_be_mended_after_deleting_the_parts(
    folder: Path, session: Session, tmp_path: Path
) -> None:
    source, out = stopped(folder, tmp_path)
    for path in (tmp_path / "out.parquet.parts").iterdir():
        path.unlink()
    assert predict(folder, source, out) == 0
    assert_answers(pq.read_table(out), session, pack())
    assert pq.read_metadata(out).num_rows == len(LENGTHS)
