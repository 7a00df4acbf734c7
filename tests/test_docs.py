"""The scripts in docs/ are run as their readers would, against a real server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.process import ServerProcess
from tests.conftest import ROOT

PRINTED = {
    "with_pyarrow.py": "[{'digit.label':",
    "with_polars.py": "42.0",
    "with_pandas_and_duckdb.py": "image digit",
    "with_tritonclient.py": "(6, 4)",
}
SCRIPTS = sorted((ROOT / "docs" / "clients").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_client_script_prints_its_answer(script: Path, server: ServerProcess) -> None:
    command = [sys.executable, str(script), server.url]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 0, found.stderr
    assert PRINTED[script.name] in found.stdout


def test_client_scripts_stay_short() -> None:
    assert len(SCRIPTS) == len(PRINTED)
    for script in SCRIPTS:
        lines = [line for line in script.read_text().splitlines()[1:] if line.strip()]
        assert len(lines) <= 22, script
