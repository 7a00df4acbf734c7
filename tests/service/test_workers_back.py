"""A worker that is started again serves what the others do, whatever has come to lie there."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import httpx

from benchmarks.process import ServerProcess
from tests.conftest import SHIPPED
from tests.service.processes import until, workers
from tests.service.test_workers_ending import ready

PREDICT = "/v1/models/digit_sum/predict"


def answered(process: ServerProcess, worker: int) -> bool:
    """Whether that one has answered a prediction, after one more."""
    answer = httpx.post(process.url + PREDICT, json={"sequences": [[1, 2]]})
    assert (answer.status_code, answer.headers["x-model"]) == (200, "digit_sum/1")
    lines = [line for line in process.log_lines() if line.get("path") == PREDICT]
    return any(line["worker"] == worker for line in lines)


def test_a_version_that_is_half_copied_stops_no_worker(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "models" / "digit_sum"
    shutil.copytree(SHIPPED / "digit_sum", folder)
    with ServerProcess(folder.parent, workers=2, grace_seconds=0) as process:
        (folder / "2").mkdir()
        (folder / "2" / "bundle.json").write_text("{")
        (folder / "new").mkdir()
        first = workers(process)
        os.kill(first[1], signal.SIGKILL)
        until(lambda: workers(process)[1] != first[1], "no new worker")
        until(lambda: ready(process), "not ready again")
        until(lambda: answered(process, 1), "the new worker answers nothing")
        assert workers(process)[0] == first[0]
