from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments import cells
from experiments.cells import Cell, compute
from tests.experiments.inline import Inline

CALLS: list[int] = []
LETTERS = {"c": (3,), "a": (1,), "b": (2,)}


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "ProcessPoolExecutor", Inline)
    monkeypatch.setattr(cells, "as_completed", list)  # in the order asked
    CALLS.clear()


def doubled(number: int) -> Cell:
    CALLS.append(number)
    return {"twice": 2 * number}


def threads(_: int) -> Cell:
    return {"threads": torch.get_num_threads()}


def fails_at_two(number: int) -> Cell:
    if number == 2:
        raise RuntimeError("two")
    return doubled(number)


def saved(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.mark.usefixtures("inline")
def test_every_cell_is_computed_and_saved_in_the_order_asked(tmp_path: Path) -> None:
    path = tmp_path / "new" / "some.json"
    found = compute(path, LETTERS, doubled, 1)
    assert list(found) == list(saved(path)["cells"]) == ["c", "a", "b"]
    assert [one["twice"] for one in found.values()] == [6, 2, 4]
    assert saved(path)["cells"] == found


@pytest.mark.usefixtures("inline")
def test_the_file_says_how_to_make_it_again(tmp_path: Path) -> None:
    compute(tmp_path / "some.json", LETTERS, doubled, 1)
    made = saved(tmp_path / "some.json")
    assert made["command"] == "python -m experiments.some"
    assert made["torch"] == torch.__version__
    assert made["seconds"] == sum(one["seconds"] for one in made["cells"].values())


@pytest.mark.usefixtures("inline")
def test_finished_cells_are_not_computed_again(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    compute(path, {"a": (1,), "b": (2,)}, doubled, 1)
    found = compute(path, LETTERS, doubled, 1)
    assert CALLS == [1, 2, 3]
    assert list(found) == ["c", "a", "b"]
    compute(path, LETTERS, doubled, 1)
    assert CALLS == [1, 2, 3]


@pytest.mark.usefixtures("inline")
def test_a_failing_cell_loses_nothing_of_the_others(tmp_path: Path) -> None:
    path, many = tmp_path / "some.json", {str(i): (i,) for i in range(8)}
    with pytest.raises(RuntimeError, match="two"):
        compute(path, many, fails_at_two, 1)
    assert list(saved(path)["cells"]) == [name for name in many if name != "2"]
    CALLS.clear()
    compute(path, many, doubled, 1)
    assert CALLS == [2]


def test_cells_run_in_processes_of_one_thread(tmp_path: Path) -> None:
    found = compute(tmp_path / "some.json", {"a": (1,), "b": (2,)}, threads, 1)
    assert [one["threads"] for one in found.values()] == [1, 1]


@pytest.mark.usefixtures("inline")
def test_a_cell_with_other_arguments_is_computed_again(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    compute(path, {"a": (1,), "b": (2,)}, doubled, 1)
    found = compute(path, {"a": (1,), "b": (5,)}, doubled, 1)
    assert [one["twice"] for one in found.values()] == [2, 10]


@pytest.mark.usefixtures("inline")
def test_a_cell_may_say_itself_how_long_it_took(tmp_path: Path) -> None:
    found = compute(tmp_path / "some.json", {"a": (7.5,)}, lambda said: {"seconds": said}, 1)
    assert found["a"]["seconds"] == 7.5
