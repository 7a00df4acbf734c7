from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from models.training.run import TrainingError, train
from tests.models.training.doubling import Doubling, Scored, Stopped
from tests.models.training.runs import ARCHITECTURE, equal, interrupted, metrics, weights


@pytest.mark.parametrize("after", [0, 1, 2, 5])
@pytest.mark.parametrize("architecture", ["sumformer", "performer"])
def test_a_resumed_run_ends_in_the_weights_of_one_never_stopped(
    tmp_path: Path, architecture: str, after: int
) -> None:
    whole = train(Doubling(), architecture, tmp_path / "whole")
    interrupted(Stopped(after), architecture, tmp_path / "parts")
    torch.manual_seed(99)
    assert train(Doubling(), architecture, tmp_path / "parts", resume=True) == whole
    assert equal(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def test_a_resumed_run_keeps_what_was_best_before_it_stopped(tmp_path: Path) -> None:
    train(Scored([3.0, 1.0, 2.0]), ARCHITECTURE, tmp_path / "whole")
    stopped = Scored([3.0, 1.0])  # there is no third score
    with pytest.raises(StopIteration):
        train(stopped, ARCHITECTURE, tmp_path / "parts")
    train(Scored([2.0]), ARCHITECTURE, tmp_path / "parts", resume=True)
    assert equal(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def test_a_resumed_run_has_the_lines_of_one_never_stopped(tmp_path: Path) -> None:
    train(Doubling(), ARCHITECTURE, tmp_path / "whole")
    interrupted(Stopped(5), ARCHITECTURE, tmp_path / "parts")
    train(Doubling(), ARCHITECTURE, tmp_path / "parts", resume=True)
    timed = {"seconds", "tokens_per_second"}
    whole, parts = (
        [{k: v for k, v in line.items() if k not in timed} for line in metrics(tmp_path / name)]
        for name in ("whole", "parts")
    )
    assert whole == parts


def test_a_run_that_is_over_leaves_no_state(tmp_path: Path) -> None:
    train(Doubling(), ARCHITECTURE, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "README.md",
        "config.json",
        "curve.png",
        "metrics.jsonl",
        "model.safetensors",
    ]


def test_there_must_be_a_run_to_resume(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"training\.pt: there is no stopped run to resume"):
        train(Doubling(), ARCHITECTURE, tmp_path, resume=True)


def test_a_stopped_run_is_not_begun_anew_by_accident(tmp_path: Path) -> None:
    (tmp_path / "training.pt").write_bytes(b"a day's work")
    with pytest.raises(TrainingError, match=r"training\.pt: a stopped run; go on with --resume"):
        train(Doubling(), ARCHITECTURE, tmp_path)
    assert (tmp_path / "training.pt").read_bytes() == b"a day's work"


@pytest.mark.parametrize(
    "foreign", [{}, {"run": {}}, {"run": None}, [1], torch.zeros(2), "text", 7, None], ids=str
)
def test_a_foreign_state_is_refused(tmp_path: Path, foreign: object) -> None:
    torch.save(foreign, tmp_path / "training.pt")
    with pytest.raises(TrainingError, match=r"training\.pt: not the state of a run"):
        train(Doubling(), ARCHITECTURE, tmp_path, resume=True)


def test_a_corrupted_state_is_refused(tmp_path: Path) -> None:
    (tmp_path / "training.pt").write_bytes(b"x" * 100)
    with pytest.raises(TrainingError, match=r"training\.pt: not the state of a run"):
        train(Doubling(), ARCHITECTURE, tmp_path, resume=True)


@pytest.mark.parametrize("part", ["lines", "loop"])
def test_a_state_that_lacks_a_part_is_refused(tmp_path: Path, part: str) -> None:
    interrupted(Stopped(3), ARCHITECTURE, tmp_path)
    state = torch.load(tmp_path / "training.pt")
    del state[part]
    torch.save(state, tmp_path / "training.pt")
    with pytest.raises(TrainingError, match=r"training\.pt: not the state of a run"):
        train(Doubling(), ARCHITECTURE, tmp_path, resume=True)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"architecture": "deepsets"}, "architecture is 'sumformer', not 'deepsets'"),
        ({"seed": 1}, "seed is 0, not 1"),
        ({"steps": 7}, "steps is 6, not 7"),
        ({"task": Doubling(learning_rate=0.5)}, "begun with other settings of the training"),
    ],
)
def test_resuming_another_run_is_refused(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    interrupted(Stopped(3), ARCHITECTURE, tmp_path)
    asked = {"task": Doubling(), "architecture": ARCHITECTURE, **changed}
    with pytest.raises(TrainingError, match=message):
        train(folder=tmp_path, resume=True, **asked)


def test_resuming_another_task_is_refused(tmp_path: Path) -> None:
    interrupted(Stopped(3), ARCHITECTURE, tmp_path)
    other = Doubling()
    other.name = "other"
    with pytest.raises(TrainingError, match="task is 'doubling', not 'other'"):
        train(other, ARCHITECTURE, tmp_path, resume=True)
