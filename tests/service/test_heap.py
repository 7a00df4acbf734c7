from __future__ import annotations

import platform
import subprocess
import sys

import pytest

CODE = """
import os, sys
from benchmarks.tree import resident_bytes
from service import heap
if sys.argv[1] == "settled":
    assert heap.settle()
def grown():
    before, kept = resident_bytes(os.getpid()), []
    for _ in range(8):  # what is freed, and what comes after it and stays
        large = [bytearray(24 * 2**20) for _ in range(2)]
        kept.append([bytearray(2**12) for _ in range(16)])
        del large
    return resident_bytes(os.getpid()) - before
print(grown())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries have other ways")
def test_what_is_large_is_handed_back_when_it_is_freed() -> None:
    command = [sys.executable, "-c", CODE, "settled"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 24 * 2**20
