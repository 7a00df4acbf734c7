"""Several workers that do not come to serve: the command says why in one line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from benchmarks.process import SUMSERVE, ServerProcess, free_port
from tests.conftest import SHIPPED
from tests.service.processes import group_gone, until


def run(*flags: object) -> tuple[int, list[str]]:
    """Its exit code, and what it prints besides its log."""
    command = [SUMSERVE, "serve", *map(str, flags)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.returncode, besides_log(done.stderr)


def besides_log(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("{")]


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """The shipped bundles, one with a flipped bit."""
    folder = tmp_path / "bundles"
    shutil.copytree(SHIPPED, folder)
    graph = folder / "digits" / "1" / "stage0.onnx"
    data = bytearray(graph.read_bytes())
    data[100] ^= 1
    graph.write_bytes(data)
    return folder


def test_a_bundle_at_fault_is_one_line_however_many_workers(faulty: Path) -> None:
    one, two = (run("--models", faulty, "--port", 0, "--workers", count) for count in (1, 2))
    assert one == two
    assert two[0] == 1
    assert len(two[1]) == 1
    assert "stage0.onnx" in two[1][0]


def test_no_bundle_is_one_line_too(tmp_path: Path) -> None:
    one, two = (run("--models", tmp_path, "--port", 0, "--workers", count) for count in (1, 2))
    assert one == two
    assert (two[0], len(two[1])) == (1, 1)


def test_a_taken_port_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = run("--models", SHIPPED, "--port", port, "--workers", 2)
    assert found == (1, [f"sumserve serve: cannot listen on 127.0.0.1:{port}"])


@pytest.mark.parametrize("count", [1, 2])
def test_nobody_else_gets_a_port_that_workers_share(count: int) -> None:
    with ServerProcess(SHIPPED, workers=2, grace_seconds=0) as process:
        found = run("--models", SHIPPED, "--port", process.port, "--workers", count)
    assert found == (1, [f"sumserve serve: cannot listen on 127.0.0.1:{process.port}"])


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_while_they_start_ends_them_without_a_word(sig: signal.Signals) -> None:
    command = [SUMSERVE, "serve", "--models", str(SHIPPED), "--port", str(free_port())]
    process = subprocess.Popen(
        [*command, "--workers", "3"], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stderr
        assert "3 workers will serve" in json.loads(process.stderr.readline())["message"]
        os.killpg(process.pid, sig)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, besides_log(said)) == (0, [])
    until(lambda: group_gone(process.pid), "a worker stays")
