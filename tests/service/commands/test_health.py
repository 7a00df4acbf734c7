from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.process import ServerProcess, free_port
from service.cli import main


@pytest.mark.parametrize("flags", [[], ["--live"]])
def test_a_running_server_is_healthy(server: ServerProcess, flags: list[str]) -> None:
    assert main(["health", "--port", str(server.port), *flags]) == 0


def test_nobody_listening_is_not_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["health", "--port", str(free_port())]) == 1
    assert "no answer from 127.0.0.1" in capsys.readouterr().out


def test_the_port_may_come_from_the_environment(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUMSERVE_PORT", str(server.port))
    monkeypatch.setenv("SUMSERVE_HOST", "0.0.0.0")
    assert main(["health"]) == 0


def test_a_bad_port_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SUMSERVE_PORT", "eighty")
    assert main(["health"]) == 1
    assert "SUMSERVE_PORT: not a port: 'eighty'" in capsys.readouterr().err


def test_asking_loads_nothing_of_what_serves() -> None:
    code = "import sys, service.commands.health; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert "service.given" in loaded.split()
    assert not {"pydantic", "numpy", "service.settings"} & set(loaded.split())
