"""The checks themselves, with the CPU in the place of the GPU. What they find on a GPU is in
benchmarks/results/gpu.md.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import gpu_check, gpu_check_bundles
from benchmarks.baselines import layer_of
from benchmarks.gpu_check_bundles import CHECKS, Row, bundles, cells, memory
from benchmarks.gpu_check_prepare import weights
from benchmarks.gpu_check_speed import Mix
from benchmarks.gpu_check_torch import Weights
from benchmarks.reference import checkpoint
from models.pack import Pack
from service.bundle import Bundle
from service.graph import Options
from tests.conftest import ROOT, SHIPPED

ABSENT = (
    "orjson simdjson fastapi starlette uvicorn uvloop nanoarrow onnx onnxscript pyarrow sklearn"
)
BLOCKED = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {{*{ABSENT.split()!r}, 'models', 'export'}}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import benchmarks.gpu_check, benchmarks.gpu_check_speed, benchmarks.gpu_check_torch
"""


def test_it_needs_nothing_that_trains_exports_or_serves() -> None:
    found = subprocess.run(
        [sys.executable, "-c", BLOCKED], capture_output=True, text=True, cwd=ROOT
    )
    assert found.returncode == 0, found.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_without_a_gpu_it_says_so_in_a_line() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu_check"], capture_output=True, text=True, cwd=ROOT
    )
    assert found.returncode == gpu_check.NO_GPU
    assert found.stderr.startswith("gpu-check needs an NVIDIA GPU and onnxruntime-gpu: ")
    assert len(found.stderr.splitlines()) == 1


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"LARGE": 2000, "REPETITIONS": 2, "STEPS": 30, "WARM_UPS": 2, "STEP_TOKENS": 2048}
    for name, value in sizes.items():
        monkeypatch.setattr(gpu_check_bundles, name, value)


@pytest.mark.parametrize("name", [name for name in CHECKS if name != "memory"])
def test_a_good_bundle_passes(name: str, small: None) -> None:
    bundle = Bundle.open(SHIPPED / "polynomial" / "1")
    rows = dict(cells(CHECKS[name], [bundle], "cpu"))
    assert list(rows) == ["polynomial fp32", "polynomial fp16"]
    row = rows["polynomial fp32"]()
    if name in ("race", "invariance"):  # a CPU promises every bit
        assert row["different"] == 0
    assert row["ok"]


def test_memory_may_not_grow(small: None) -> None:
    bundle = Bundle.open(SHIPPED / "polynomial" / "1")
    flat = memory(bundle, Options(), lambda: 5)
    growing = itertools.count(0, gpu_check_bundles.GROWTH + 1)
    assert flat["ok"]
    assert not memory(bundle, Options(), lambda: next(growing))["ok"]


def test_bundles_come_from_every_folder_that_is_there(tmp_path: Path) -> None:
    found = bundles([tmp_path / "none", SHIPPED])
    assert [b.manifest.name for b in found] == ["digit_sum", "digits", "polynomial"]


def test_a_cell_that_fails_is_a_row_and_time_is_bounded(capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> Row:
        raise RuntimeError("no memory")

    rows = gpu_check.checked("race", iter([("a", fails), ("b", lambda: {"ok": True})]), 60)
    assert rows["a"]["error"] == "RuntimeError: no memory"
    assert [row["ok"] for row in rows.values()] == [False, True]
    assert 'race, b: {"ok": true' in capsys.readouterr().out
    late = gpu_check.checked("race", iter([("a", lambda: {"ok": True})]), -1)
    assert late["a"]["error"].startswith("not reached")


def test_results_of_separate_runs_are_kept_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {name: lambda: iter([("x", lambda: {"ok": True})]) for name in ("parity", "race")}
    monkeypatch.setattr(gpu_check, "checks", lambda device: made)
    monkeypatch.setattr(gpu_check, "machine", lambda: {"gpu": "none"})
    out = tmp_path / "gpu.json"
    for only in ("parity", "race"):
        args = argparse.Namespace(device="cuda", only=only, seconds=9, out=out)
        assert gpu_check.run(args) == 0
    page = out.with_suffix(".md").read_text()
    assert "## parity: 1 of 1" in page
    assert "## race: 1 of 1" in page
    args = argparse.Namespace(device="cuda", only="speed", seconds=9, out=out)
    assert gpu_check.run(args) == gpu_check.NOT_OK


def test_steps_are_whole_sequences() -> None:
    mix = Mix.drawn(np.array([5, 3, 20, 1, 1, 8]))
    steps = list(mix.steps(10))
    assert [s.lengths.tolist() for s in steps] == [[5, 3], [20], [1, 1, 8]]
    np.testing.assert_array_equal(np.concatenate([s.x for s in steps]), mix.x)


def test_what_we_are_compared_with_is_the_reference_model() -> None:
    model, lengths = checkpoint("reference").model, torch.tensor([4, 30, 1])
    x, owner = torch.randn(35, 8), torch.repeat_interleave(torch.arange(3), lengths)
    own = Weights(weights(layer_of(model)), "cpu", torch.float32)
    with torch.inference_mode():
        found = own.forward(x, owner, lengths[:, None].float())
        wanted = model(Pack({"x": x}, lengths))["y"]
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="did NOT run: needs a CUDA device and onnxruntime-gpu"
)
def test_a_captured_graph_answers_what_the_model_does() -> None:
    from benchmarks.gpu_check_torch import Captured

    own, lengths = weights(layer_of(checkpoint("reference").model)), np.array([4, 30, 1])
    x = np.random.default_rng(0).normal(size=(35, 8)).astype(np.float32)
    captured = Captured(Weights(own, "cuda", torch.float32), 64, 5)
    owner = torch.from_numpy(np.repeat(np.arange(3), lengths))
    count = torch.from_numpy(lengths[:, None]).float()
    with torch.inference_mode():
        wanted = Weights(own, "cpu", torch.float32).forward(torch.from_numpy(x), owner, count)
    np.testing.assert_allclose(captured.run(x, lengths), wanted, rtol=1e-3, atol=1e-4)
