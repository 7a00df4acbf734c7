"""The machine under a server fails: its disk, its folder of bundles, its clock."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPResponse
from pathlib import Path

import httpx
import pytest

from benchmarks.process import ServerProcess
from benchmarks.upload import Upload
from tests.conftest import SHIPPED
from tests.deploy.faults.balanced import Replica
from tests.deploy.faults.clients import Tally, questions
from tests.deploy.faults.conftest import Measured
from tests.deploy.faults.harm import harmed
from tests.streaming import spools, tokens, until

READY = "/v2/health/ready"
MODEL = "polynomial"  # of two passes: it keeps what it reads
SHORT = (1, 20, 70, 200, 700)
FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)


def is_ready(server: ServerProcess) -> bool:
    return httpx.get(server.url + READY).status_code == 200


@contextmanager
def disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """A file system of that size; skips where none can be made."""
    made = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "none", str(folder)]
    if subprocess.run(made, capture_output=True).returncode:
        pytest.skip("no disk was filled: a file system cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_a_507_and_others_go_on(tmp_path: Path, measured: Measured) -> None:
    with disk(tmp_path, 8) as full, Replica(SHIPPED, spool_folder=full) as server:
        said: list[HTTPResponse] = []

        def fault() -> None:
            with Upload(server.port, MODEL) as upload:
                upload.write(tokens(1_000_000))  # 16 MB are kept
                said.append(upload.answer())

        tally = harmed(server.port, questions(server.port, SHORT), fault)
        until(lambda: not spools(server, full))
        with Upload(server.port, MODEL) as upload:
            upload.write(tokens(10_000))
            later = upload.end().status
        ready = is_ready(server)
    status = said[0].status
    measured("a full disk under the spool", f"{status}, {len(tally.failed)} others failed")
    assert (status, tally.failed, later, ready) == (507, [], 200, True)


@pytest.mark.deploy
def test_a_folder_of_bundles_that_is_gone_changes_nothing_until_a_start(
    tmp_path: Path, measured: Measured
) -> None:
    shutil.copytree(SHIPPED / "digits", tmp_path / "models" / "digits")
    with Replica(tmp_path / "models", watch_seconds=0.2, workers=2) as server:
        known = questions(server.port, SHORT)
        tally = harmed(server.port, known, lambda: shutil.rmtree(tmp_path / "models"))
        ready = is_ready(server)
        server.terminate()
        server.process.wait(60)
        again = subprocess.run(server._command, capture_output=True, text=True, timeout=60)
    measured("the folder of bundles is gone", f"{len(tally.failed)} of {tally.asked:,} failed")
    assert (tally.failed, ready) == ([], True)
    assert again.returncode == 1
    assert "not a folder of bundles" in again.stderr.splitlines()[-1]


class Jumping(Replica):
    """One whose wall clock can be set."""

    def __init__(self, clock: Path, **settings: object) -> None:
        super().__init__(SHIPPED, **settings)
        self._clock = clock
        self.jump("+0")
        own = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(clock)}
        own |= {"FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        self._environment: Mapping[str, str] | None = {**os.environ, **own}

    def jump(self, by: str) -> None:
        self._clock.write_text(by)


def _last(server: Replica) -> datetime:
    return datetime.fromisoformat(str(server.log_lines()[-1]["time"]))


@pytest.mark.deploy
@pytest.mark.skipif(FAKETIME is None, reason="no clock jumped: there is no faketime")
def test_a_clock_that_jumps_fails_nothing(tmp_path: Path, measured: Measured) -> None:
    def fault() -> None:
        for by, day in (("+1d", 1), ("-1d", -1), ("+0", 0)):
            server.jump(by)
            wanted = datetime.now(UTC) + timedelta(days=day)
            until(lambda wanted=wanted: _last(server).date() == wanted.date())  # type: ignore[misc]

    with Jumping(tmp_path / "clock") as server:
        tally: Tally = harmed(server.port, questions(server.port, SHORT), fault)
        ready = is_ready(server)
    measured("the clock jumps a day forth and back", f"{len(tally.failed)} failed")
    assert (tally.failed, ready) == ([], True)
