"""What is to be seen of processes from outside."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.process import ServerProcess


def until(found: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """What is found, as soon as it is anything; AssertionError says what is not."""
    deadline = time.monotonic() + seconds
    while not (it := found()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return it


def workers(process: ServerProcess) -> dict[int, int]:
    """A server's: number -> process, the last one where there were several."""
    found = {}
    for line in process.log_lines():
        if started := re.fullmatch(r"Started server process \[(\d+)\]", line["message"]):
            found[line["worker"]] = int(started[1])
    return found


def gone(pid: int) -> bool:
    """Whether that process has ended, even if nobody has asked how."""
    return not any(found == pid for found, _ in _running())


def group_gone(group: int) -> bool:
    """Whether all processes of a group have."""
    return not any(found == group for _, found in _running())


def _running() -> Iterator[tuple[int, int]]:
    """Every process and its group."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, _, group = rest.split()[:3]
        if state != "Z":
            yield int(name.split()[0]), int(group)
