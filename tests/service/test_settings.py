from __future__ import annotations

import pytest

from service.configuration import load_settings
from service.settings import Settings


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:3"])
def test_a_gpu_has_a_number(device: str) -> None:
    assert load_settings({"SUMSERVE_DEVICE": device}, {}).device == device


@pytest.mark.parametrize(("device", "seconds"), [("cpu", 0.02), ("cuda:1", 0.0)])
def test_steps_on_a_gpu_never_run_on_the_loop(device: str, seconds: float) -> None:
    assert Settings(device=device).policy().brief_seconds == seconds
    assert Settings(device=device, brief_ms=0).policy().brief_seconds == 0
