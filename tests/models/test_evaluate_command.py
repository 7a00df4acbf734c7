from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from models.checkpoint import Card, Checkpoint
from models.tasks import load_task
from models.training.run import build_model
from service.cli import main
from tests.models.command import check_refused, own_test, printed
from tests.models.data.parquet import rows, told, write
from tests.models.training.doubling import Doubling


def data(folder: Path, **changed: Any) -> list[str]:
    """Arguments that name a dataset of forty rows."""
    path = write(folder / "all.parquet", **rows(40), **changed)
    return ["--data", str(path), "--columns", str(told(folder))]


@pytest.mark.usefixtures("doubling")
def test_evaluation_equals_the_trainings_own_test(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["train", "doubling", "--out", str(tmp_path)])
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path)]) == 0
    where = {"checkpoint": str(tmp_path), "split": "test"}
    assert printed(capsys) == {**where, **own_test(tmp_path)}


def test_evaluation_on_data_equals_the_trainings_own_test(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = data(tmp_path)
    out = tmp_path / "out"
    assert main(["train", *arguments, "--out", str(out), "--seed", "5"]) == 0
    assert printed(capsys).items() >= {"task": "churn", "seed": 5}.items()
    assert main(["evaluate", str(out), *arguments]) == 0
    assert printed(capsys).items() >= own_test(out).items()


def test_an_option_of_evaluation_takes_the_place_of_one_the_checkpoint_was_trained_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for n in (2, 5):
        told = ["--option", f"n={n}", "--option", "d=2", "--steps", "1"]
        assert main(["train", "polynomial", *told, "--out", str(tmp_path / str(n))]) == 0
        trained = own_test(tmp_path / str(n))
        capsys.readouterr()
        assert main(["evaluate", str(tmp_path / str(n)), "--option", "n=4"]) == 0
        assert printed(capsys)["relative_error"] != trained["relative_error"]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """An untrained model of the tiny task, under a name that is no task's."""
    torch.manual_seed(0)
    model = build_model(Doubling(), "sumformer")
    Checkpoint(Card(name="mine", seed=0, model=model.config), model).save(tmp_path / "mine")
    return tmp_path / "mine"


@pytest.mark.usefixtures("doubling")
def test_evaluation_takes_the_task_asked_for(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["evaluate", str(checkpoint), "--task", "doubling", "--split", "validation"]
    assert main(argv) == 0
    assert printed(capsys).keys() == {"checkpoint", "split", "loss", "rmse"}


@pytest.mark.usefixtures("doubling")
@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "trained on no task of ours: give --task, or --data and --columns"),
        (["--task", "doubling", "--split", "all"], "splits are validation and test, not all"),
        (["--data", "x"], "--data and --columns go together"),
        (["--task", "other", "--data", "x", "--columns", "y"], "give --task, or --data"),
        (["--task", "doubling", "--device", "warp"], "device 'warp'"),
    ],
)
def test_evaluation_refuses_bad_input_in_one_line(
    checkpoint: Path, argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refused(["evaluate", str(checkpoint), *argv], 2, message, capsys)


def test_evaluation_refuses_a_task_of_other_columns(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["evaluate", str(checkpoint), "--task", "digit_sum"]
    check_refused(argv, 2, "its columns or outputs are not those of digit_sum", capsys)


def test_evaluation_keeps_the_options_of_the_checkpoint_s_own_task(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["--option", "n=2", "--steps", "2", "--out", str(tmp_path)]
    assert main(["train", "polynomial", *told]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path), "--task", "polynomial"]) == 0
    assert printed(capsys).items() >= own_test(tmp_path).items()


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("validation", "tokens; this model takes 1 to 20"),
        (
            "test",
            "every test has longer sequences than the 20 tokens that the model takes: test (200",
        ),
    ],
)
def test_evaluation_refuses_sequences_longer_than_the_model_takes(
    split: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    model = build_model(load_task("listops", {"high": 20}), "sumformer")
    Checkpoint(Card(name="short", task="listops", seed=0, model=model.config), model).save(tmp_path)
    argv = ["evaluate", str(tmp_path), "--task", "listops", "--split", split]
    check_refused(argv, 2, message, capsys)


def test_evaluation_refuses_what_is_no_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refused(["evaluate", str(tmp_path)], 2, "config.json", capsys)
