from __future__ import annotations

import pytest

from service.configuration import load_settings
from service.settings import Settings


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:3"])
def test_a_gpu_has_a_number(device: str) -> None:
    assert load_settings({"SUMSERVE_DEVICE": device}, {}).device == device


def test_each_worker_has_a_gpu_of_its_own_where_that_is_asked_for() -> None:
    each, one = Settings(device="cuda:each", workers=3), Settings(device="cuda:2", workers=3)
    assert [each.of_worker(i).device for i in range(3)] == ["cuda:0", "cuda:1", "cuda:2"]
    assert [one.of_worker(i).device for i in range(3)] == ["cuda:2"] * 3
    assert each.of_worker(1).policy().brief_seconds == 0


@pytest.mark.parametrize(("device", "seconds"), [("cpu", 0.02), ("cuda:1", 0.0)])
def test_steps_on_a_gpu_never_run_on_the_loop(device: str, seconds: float) -> None:
    assert Settings(device=device).policy().brief_seconds == seconds
    assert Settings(device=device, brief_ms=0).policy().brief_seconds == 0
