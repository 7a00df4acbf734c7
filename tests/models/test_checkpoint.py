from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.checkpoint import Checkpoint, CheckpointError
from tests.conftest import CONFIGS, small_checkpoint


@pytest.mark.parametrize("name", CONFIGS)
def test_round_trip_is_exact(name: str, tmp_path: Path) -> None:
    saved = small_checkpoint(name)
    saved.save(tmp_path)
    loaded = Checkpoint.load(tmp_path)
    assert loaded.card == saved.card
    wanted, found = saved.model.state_dict(), loaded.model.state_dict()
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[k], found[k]) for k in wanted)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    small_checkpoint("plain").save(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        Checkpoint.load(tmp_path)


@pytest.mark.parametrize("fault", ["surplus", "missing", "shape"])
def test_weights_that_do_not_fit_are_refused(fault: str, tmp_path: Path) -> None:
    small_checkpoint("plain").save(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    if fault == "surplus":
        state["surplus"] = torch.zeros(1)
    elif fault == "missing":
        del state["embed.columns.columns.0.mean"]
    else:
        state["embed.columns.columns.0.mean"] = torch.zeros(9)
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"surplus|embed\.columns\.columns\.0\.mean"):
        Checkpoint.load(tmp_path)


def test_truncated_weights_are_refused(tmp_path: Path) -> None:
    small_checkpoint("plain").save(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        Checkpoint.load(tmp_path)


def test_an_unknown_key_in_the_config_is_refused(tmp_path: Path) -> None:
    small_checkpoint("plain").save(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "newer": 1}))
    with pytest.raises(CheckpointError, match="newer"):
        Checkpoint.load(tmp_path)


def test_weights_that_could_not_be_loaded_are_not_saved(tmp_path: Path) -> None:
    made = small_checkpoint("plain")
    made.model.double()
    with pytest.raises(CheckpointError, match=r"is torch\.float64, weights are float32"):
        made.save(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_weights_of_another_type_are_not_loaded(tmp_path: Path) -> None:
    small_checkpoint("plain").save(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    state["embed.columns.columns.0.mean"] = state["embed.columns.columns.0.mean"].double()
    save_file(state, tmp_path / "model.safetensors")
    message = r"model\.safetensors: embed\.columns\.columns\.0\.mean is not float32, as weights are"
    with pytest.raises(CheckpointError, match=message):
        Checkpoint.load(tmp_path)
