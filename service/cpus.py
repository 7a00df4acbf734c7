"""How many CPUs there are for this process, inside a container too."""

from __future__ import annotations

import os
from pathlib import Path


def available_cpus() -> int:
    """CPUs this process may use: its affinity, or the container's quota where that is less."""
    quotas = (_quota_v2(), _quota_v1())
    return max(1, min([_allowed(), *(int(q) for q in quotas if q)]))


def _allowed() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota_v2() -> float | None:
    words = _words(Path("/sys/fs/cgroup/cpu.max"))
    return int(words[0]) / int(words[1]) if words and words[0] != "max" else None


def _quota_v1() -> float | None:
    quota = _words(Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"))
    period = _words(Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us"))
    return int(quota[0]) / int(period[0]) if quota and period and int(quota[0]) > 0 else None


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
