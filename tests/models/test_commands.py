from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import models.tasks
from models.architectures import ARCHITECTURES
from models.checkpoint import Card, Checkpoint
from models.tasks import load_task
from models.training.run import build_model
from service.cli import main
from tests.models.command import check_refused, own_test, printed, use
from tests.models.data.parquet import TOML, rows, told, write
from tests.models.training.doubling import Diverging, Doubling, Stopped


def data(folder: Path, **changed: Any) -> list[str]:
    """Arguments that name a dataset of forty rows."""
    path = write(folder / "all.parquet", **rows(40), **changed)
    return ["--data", str(path), "--columns", str(told(folder))]


@pytest.mark.usefixtures("doubling")
def test_training_prints_its_test_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "doubling", "--out", str(tmp_path), "--steps", "2", "--seed", "3"]) == 0
    assert printed(capsys) == {
        "task": "doubling",
        "architecture": "sumformer",
        "seed": 3,
        "checkpoint": str(tmp_path),
        **own_test(tmp_path),
    }


@pytest.mark.usefixtures("doubling")
def test_the_architecture_is_the_one_asked_for(tmp_path: Path) -> None:
    assert main(["train", "doubling", "--architecture", "pointnet", "--out", str(tmp_path)]) == 0
    assert Checkpoint.load(tmp_path).card.model.architecture == "pointnet"


def test_the_architecture_of_data_is_named_in_the_toml_file(tmp_path: Path) -> None:
    arguments = data(tmp_path)
    told(tmp_path, TOML.replace("width = 8", 'width = 8\narchitecture = "linformer"'))
    assert main(["train", *arguments, "--out", str(tmp_path / "out")]) == 0
    own = Checkpoint.load(tmp_path / "out").card.model
    assert (own.architecture, own.signature.max_length) == ("linformer", 3)


def test_a_stopped_run_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Stopped(3))
    arguments = ["train", "doubling", "--out", str(tmp_path)]
    assert main(arguments) == 130
    use(monkeypatch, Doubling())
    assert main([*arguments, "--resume"]) == 0
    assert Checkpoint.load(tmp_path).card.name == "doubling"


def test_the_list_names_tasks_and_architectures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--list"]) == 0
    words = capsys.readouterr().out.split()
    assert {*models.tasks.TASKS, *ARCHITECTURES} <= set(words)


@pytest.mark.usefixtures("doubling")
@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "give a task, or --data and --columns"),
        (["doubling", "--data", "x", "--columns", "y"], "give a task, or --data and --columns"),
        (["--data", "x"], "give a task, or --data and --columns"),
        (["--data", "x", "--columns", "nowhere.toml"], "nowhere.toml: No such file"),
        (["doubling", "--architecture", "former"], "unknown architecture 'former'"),
        (["doubling", "--device", "warp"], "device 'warp'"),
        (["doubling", "--resume", "--out", "nowhere"], "there is no stopped run to resume"),
        (["doubling", "--out", __file__], "test_commands.py: File exists"),
        (["doubling", "--out", f"{__file__}/out"], "test_commands.py/out: Not a directory"),
        (["--data", "x", "--columns", "y", "--option", "n=5"], "--option is for a task of ours"),
    ],
)
def test_training_refuses_bad_input_in_one_line(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refused(["train", *argv], 2, message, capsys)


@pytest.mark.parametrize(
    ("task", "option", "message"),
    [
        ("polynomial", "m=5", "polynomial: no option 'm'; there are n, d"),
        ("polynomial", "n=0", "polynomial: n and d are at least 1, not 0 and 4"),
        ("listops", "low=9000", "listops: lengths from 9000 to 200"),
        ("digits", "n=5", "digits: no option 'n'; it has none"),
    ],
)
def test_an_option_that_a_task_does_not_have_is_refused(
    task: str, option: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refused(["train", task, "--option", option], 2, message, capsys)


@pytest.mark.parametrize("wrong", [["--steps", "abc"], ["--seed", "x"], ["--option", "n=five"]])
def test_what_is_no_number_is_called_so(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["train", "polynomial", *wrong])
    assert f"{wrong[1].removeprefix('n=')!r} is not an integer" in capsys.readouterr().err


def test_a_task_s_options_are_kept_with_the_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["--option", "n=2", "--option", "d=3", "--steps", "2", "--out", str(tmp_path)]
    assert main(["train", "polynomial", *told]) == 0
    card = Checkpoint.load(tmp_path).card
    assert (card.options, card.trained_lengths) == ({"n": 2, "d": 3}, (2, 2))
    assert "--option n=2 --option d=3" in (tmp_path / "README.md").read_text()
    capsys.readouterr()
    for again in ([], ["--option", "n=2"]):
        assert main(["evaluate", str(tmp_path), *again]) == 0
        assert printed(capsys).items() >= own_test(tmp_path).items()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["--option", "m=3"], "polynomial: no option 'm'; there are n, d"),
        (["--option", "d=3"], "its columns or outputs are not those of polynomial"),
        (["--data", "x", "--columns", "y", "--option", "n=3"], "--option is for a task of ours"),
    ],
)
def test_an_option_that_the_checkpoint_s_task_does_not_take_is_refused(
    asked: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = load_task("polynomial")
    model = build_model(task, "sumformer")
    card = Card(name="mine", task="polynomial", seed=0, model=model.config)
    Checkpoint(card, model).save(tmp_path)
    check_refused(["evaluate", str(tmp_path), *asked], 2, message, capsys)


def test_bad_data_are_one_line_naming_the_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "all.parquet", label=["a", None, "b", "b"])
    argv = ["train", "--data", str(path), "--columns", str(told(tmp_path))]
    check_refused(argv, 2, "all.parquet: row 1, column 'label': a null label", capsys)


def test_divergence_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, Diverging())
    check_refused(
        ["train", "doubling", "--out", str(tmp_path)], 1, "diverged: loss nan at step 3", capsys
    )
