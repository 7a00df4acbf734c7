"""Clients that leave in mid-stream, and servers that are killed: nothing is left behind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.process import ServerProcess
from benchmarks.upload import Upload
from tests.conftest import SHIPPED
from tests.streaming import logged, serving, spools, steps, tokens, until

MODEL = "polynomial"  # of two passes; outputs per token
MANY = 600_000  # tokens, 9.6 MB of which are kept: more than stays in memory


def mid_upload(upload: Upload, process: ServerProcess, folder: Path) -> None:
    upload.write(tokens(MANY))
    until(lambda: spools(process, folder))


def mid_compute(upload: Upload, process: ServerProcess, folder: Path) -> None:
    upload.write(tokens(MANY))
    upload.write(b"0\r\n\r\n")
    until(lambda: spools(process, folder))


def mid_answer(upload: Upload, process: ServerProcess, folder: Path) -> None:
    upload.write(tokens(MANY))
    upload.end().readline()


STAGES = (mid_upload, mid_compute, mid_answer)
Go = Callable[[Upload, ServerProcess, Path], None]


@pytest.mark.parametrize("go", STAGES)
def test_a_client_that_leaves_is_let_go(tmp_path: Path, go: Go) -> None:
    with serving(tmp_path, SHIPPED) as process:
        with Upload(process.port, MODEL, room=4096) as upload:
            go(upload, process, tmp_path)
            assert len(spools(process, tmp_path)) == 1
            assert not os.listdir(tmp_path), "it has no name"
        until(lambda: logged(process, MODEL))
        until(lambda: not spools(process, tmp_path))
        left = steps(process, MODEL)
        time.sleep(0.3)
        assert steps(process, MODEL) - left <= 2, "those that were with the runner"
        (line,) = logged(process, MODEL)
        assert line["status"] == 499
        assert line["spool_bytes"] > 0
        with Upload(process.port, MODEL) as upload:  # it goes on serving
            upload.write(tokens(10_000))
            answer = upload.end()
            assert (answer.status, b"usage" in answer.read()) == (200, True)


def test_a_stream_that_ends_well_leaves_nothing_either(tmp_path: Path) -> None:
    with serving(tmp_path, SHIPPED) as process, Upload(process.port, MODEL) as upload:
        upload.write(tokens(MANY))
        assert b"usage" in upload.end().read()
        until(lambda: not spools(process, tmp_path))
        assert not os.listdir(tmp_path)


def test_a_server_that_is_killed_leaves_no_file(tmp_path: Path) -> None:
    with serving(tmp_path, SHIPPED) as process:
        with Upload(process.port, MODEL) as upload:
            mid_upload(upload, process, tmp_path)
            process.process.kill()
            process.process.wait()
        assert not os.listdir(tmp_path)
