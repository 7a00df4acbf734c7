from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.checkpoint import Checkpoint
from models.data.spec import read_spec
from service.cli import main
from tests.models.command import check_refused, use
from tests.models.training.doubling import Doubling, Stopped


def test_a_stopped_run_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, Stopped(0))
    message = f"stopped; the same command with --resume goes on from {tmp_path / 'training.pt'}"
    check_refused(["train", "doubling", "--out", str(tmp_path)], 130, message, capsys)


def test_a_run_stopped_before_it_began_says_nothing_of_going_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Doubling, "fitting", lambda self: Stopped(0).batch(torch.Generator()))
    use(monkeypatch, Doubling())
    argv = ["train", "doubling", "--out", str(tmp_path)]
    check_refused(argv, 130, "train: stopped\n", capsys)


def test_a_stopped_run_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, Stopped(3))
    argv = ["train", "doubling", "--out", str(tmp_path)]
    assert main(argv) == 130
    check_refused(argv, 2, "training.pt: a stopped run; go on with --resume, or remove it", capsys)


def test_the_help_says_what_is_written_and_shows_a_toml_file_that_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["train", "--help"])
    told = capsys.readouterr().out
    assert "README.md" in told
    assert "counted from 0" in " ".join(told.split())
    shown = told[told.index('    name = "churn"') : told.index("Every column takes")]
    (tmp_path / "columns.toml").write_text(shown)
    assert read_spec(tmp_path / "columns.toml").model.layer == {"rotary": True}


def test_the_model_is_the_one_asked_for(tmp_path: Path) -> None:
    out = ["--steps", "2", "--out", str(tmp_path)]
    asked = ["--model", "blocks=3", "--model", "width=8", "--model", "layer.heads=2"]
    assert main(["train", "digit_sum", "--architecture", "transformer", *asked, *out]) == 0
    own = Checkpoint.load(tmp_path).card.model
    assert own.embedding.width == 8
    assert [getattr(block.mixing, "heads", None) for block in own.blocks] == [2, 2, 2]
    assert " ".join(asked) in (tmp_path / "README.md").read_text()
    assert main(["evaluate", str(tmp_path), "--split", "validation"]) == 0


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["digits", "--model", "widht=8"], "--model: no 'widht'; there are width, blocks"),
        (["digits", "--model", "width=x"], "--model: width: Input should be a valid integer"),
        (["digits", "--model", "layer.x=1"], "digits, sumformer: blocks.0.mixing.sumformer.x: "),
        (
            ["polynomial", "--model", "blocks=4"],
            "--model: blocks=4 changes nothing of the sumformer of polynomial",
        ),
        (["--data", "x", "--columns", "y", "--model", "blocks=4"], "--model is for a task of ours"),
    ],
)
def test_a_model_that_cannot_be_asked_for_is_refused(
    asked: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refused(["train", *asked, "--out", str(tmp_path)], 2, message, capsys)


def test_what_is_asked_of_a_model_is_a_key_and_a_value(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["train", "digits", "--model", "blocks"])
    assert "'blocks' is not KEY=VALUE" in capsys.readouterr().err
