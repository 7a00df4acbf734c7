from __future__ import annotations

import argparse

import pytest

from service.errors import SettingsError
from service.settings import Settings, add_flags, load_settings


def test_flags_win_over_the_environment_and_both_over_defaults() -> None:
    found = load_settings({"SUMSERVE_PORT": "9000", "SUMSERVE_HOST": "::1"}, {"port": "9001"})
    assert (found.port, found.host, found.device) == (9001, "::1", "cpu")


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"SUMSERVE_PORT": "eighty"}, "SUMSERVE_PORT or --port.*'eighty'"),
        ({"SUMSERVE_PORT": "65536"}, "SUMSERVE_PORT"),
        ({"SUMSERVE_STEP_TOKENS": "0"}, "SUMSERVE_STEP_TOKENS or --step-tokens"),
        ({"SUMSERVE_WORKERS": "0"}, "SUMSERVE_WORKERS or --workers"),
        ({"SUMSERVE_WORKERS": "257"}, "SUMSERVE_WORKERS or --workers"),
        ({"SUMSERVE_DEVICE": "tpu"}, "SUMSERVE_DEVICE"),
        ({"SUMSERVE_DEVICE": "cuda:"}, "SUMSERVE_DEVICE or --device.*'cuda:'"),
        ({"SUMSERVE_GPU_MEMORY_BYTES": "-1"}, "SUMSERVE_GPU_MEMORY_BYTES"),
        ({"SUMSERVE_PROT": "1"}, "unknown setting SUMSERVE_PROT"),
    ],
)
def test_a_bad_setting_is_named(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(environ, {})


def test_every_bad_setting_is_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"SUMSERVE_PORT.*; .*SUMSERVE_NOPE"):
        load_settings({"SUMSERVE_PORT": "x", "SUMSERVE_NOPE": "1"}, {})


def test_there_is_a_flag_for_every_setting() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    flags = [f"--{name.replace('_', '-')}=1" for name in Settings.model_fields]
    assert set(vars(parser.parse_args(flags))) == set(Settings.model_fields)


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:3"])
def test_a_gpu_has_a_number(device: str) -> None:
    assert load_settings({"SUMSERVE_DEVICE": device}, {}).device == device


@pytest.mark.parametrize(("device", "seconds"), [("cpu", 0.02), ("cuda:1", 0.0)])
def test_steps_on_a_gpu_never_run_on_the_loop(device: str, seconds: float) -> None:
    assert Settings(device=device).policy().brief_seconds == seconds
    assert Settings(device=device, brief_ms=0).policy().brief_seconds == 0
