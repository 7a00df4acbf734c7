"""A process and all those below it, as Linux lists them."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path


def descendants(pid: int) -> list[int]:
    """Every process below one, as Linux lists them."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, _text(task).split()):
            found += [child, *descendants(child)]
    return found


def resident_bytes(pid: int) -> int:
    """What a process and those below it hold in memory; what they share counts for each."""
    pages = [_text(Path(f"/proc/{own}/statm")).split() for own in [pid, *descendants(pid)]]
    return sum(int(fields[1]) for fields in pages if fields) * os.sysconf("SC_PAGE_SIZE")


def held(pid: int) -> tuple[int, int]:
    """How many open files and threads they have."""
    found = [0, 0]
    for own in [pid, *descendants(pid)]:
        for i, what in enumerate(("fd", "task")):
            with suppress(OSError):  # it is gone
                found[i] += len(list(Path(f"/proc/{own}/{what}").iterdir()))
    return found[0], found[1]


def cpu_seconds(pid: int) -> float:
    """What a process and those below it have taken so far, as Linux counts it."""
    ticks = 0
    for own in [pid, *descendants(pid)]:
        fields = _text(Path(f"/proc/{own}/stat")).rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def end(processes: list[int], seconds: float = 3) -> None:
    """Wait for them to leave, and kill those that do not."""
    deadline = time.monotonic() + seconds
    while any(map(_alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in filter(_alive, processes):
        os.kill(pid, signal.SIGKILL)


def _alive(pid: int) -> bool:
    found = _text(Path(f"/proc/{pid}/status"))
    return bool(found) and "\nState:\tZ" not in found


def _text(path: Path) -> str:
    """Nothing where the process is gone."""
    try:
        return path.read_text()
    except OSError:
        return ""
