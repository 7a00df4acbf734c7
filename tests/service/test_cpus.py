from __future__ import annotations

from pathlib import Path

import pytest

from service.cpus import available_cpus


def test_threads_follow_the_container_s_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"/sys/fs/cgroup/cpu.max": "150000 100000\n"}
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))

    def read(self: Path) -> str:
        if str(self) not in limits:
            raise FileNotFoundError(self)
        return limits[str(self)]

    monkeypatch.setattr(Path, "read_text", read)
    assert available_cpus() == 1
    limits["/sys/fs/cgroup/cpu.max"] = "max 100000\n"
    assert available_cpus() == 8
