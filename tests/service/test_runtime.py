from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from service.errors import StartupError
from service.runtime import Threads
from tests.conftest import ROOT
from tests.test_imports import imported

LOOK = """
import os, sys
seen = []
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == 'onnxruntime':
            seen.append(os.environ.get('ORT_DISABLE_TELEMETRY'))
sys.meta_path.insert(0, Watch())
from service.runtime import onnxruntime
onnxruntime()
print(seen)
"""


@pytest.mark.parametrize(("given", "wanted"), [(None, "1"), ("0", "0")])
def test_telemetry_is_off_before_onnxruntime_is_imported(given: str | None, wanted: str) -> None:
    environ = {"PATH": "/usr/bin"} | ({"ORT_DISABLE_TELEMETRY": given} if given else {})
    found = subprocess.run(
        [sys.executable, "-c", LOOK], capture_output=True, text=True, env=environ, cwd=ROOT
    )
    assert found.stdout == f"['{wanted}']\n", found.stderr


def test_nothing_else_imports_onnxruntime() -> None:
    found = {
        path.relative_to(ROOT)
        for package in ("models", "export", "service", "benchmarks")
        for path in Path(ROOT / package).rglob("*.py")
        if "onnxruntime" in {name.partition(".")[0] for name in imported(path)}
        and "handlers" not in path.parts  # they run in other servers' environments
    }
    assert found == {Path("service/runtime.py")}


def test_there_is_one_pool_of_threads_and_it_cannot_change() -> None:
    size = Threads.start()
    assert Threads.start(size) == size
    with pytest.raises(StartupError, match=f"{size + 1} threads were asked for; {size} have"):
        Threads.start(size + 1)
