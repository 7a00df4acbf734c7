from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from models.checkpoint import Checkpoint
from service.cli import main
from tests.models.foreign.test_foreign import Case, read


@pytest.fixture
def case() -> Case:
    return read("performer-words")


def told(case: Case) -> list[str]:
    return [part for k, v in case.arguments.items() for part in ("--with", f"{k}={json.dumps(v)}")]


def answers(case: Case, folder: Path, off: float = 0.0) -> str:
    path = folder / "answers.npz"
    np.savez(path, input=case.inputs[0].numpy(), output=case.outputs[0].numpy() + off)
    return str(path)


@pytest.mark.parametrize("nested", [False, True])
def test_weights_become_a_checkpoint_that_was_compared(
    nested: bool, case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {f"module.{name}": values for name, values in case.state.items()}
    torch.save({"epoch": 3, "state_dict": state} if nested else state, tmp_path / "w.pt")
    argv = ["import", "PerformerLM", str(tmp_path / "w.pt"), *told(case), "--name", "mine"]
    argv += ["--out", str(tmp_path), "--check", answers(case, tmp_path)]
    assert main(argv) == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == str(tmp_path / "mine")
    assert "largest difference" in printed.err
    assert Checkpoint.load(tmp_path / "mine").card.name == "mine"
    assert "Imported from PerformerLM(" in (tmp_path / "mine" / "README.md").read_text()


def test_other_outputs_stop_the_import(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_file(case.state, tmp_path / "w.safetensors")
    argv = ["import", "PerformerLM", str(tmp_path / "w.safetensors"), *told(case)]
    argv += ["--name", "mine", "--out", str(tmp_path), "--check", answers(case, tmp_path, 0.01)]
    assert main(argv) == 1
    assert "outputs differ by" in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"input": np.zeros((1, 5), int), "output": np.zeros(3)}, "input is (1, 5), one sequence"),
        ({"input": np.zeros(5, int)}, "needs arrays named input and output"),
        ({"input": np.zeros(5, int), "output": np.zeros((5, 3))}, "output is (5, 3), ours is"),
    ],
)
def test_answers_that_do_not_fit_are_one_line(
    arrays: dict[str, np.ndarray],
    message: str,
    case: Case,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save_file(case.state, tmp_path / "w.safetensors")
    np.savez(tmp_path / "answers.npz", **arrays)  # type: ignore[arg-type]
    argv = ["import", "PerformerLM", str(tmp_path / "w.safetensors"), *told(case), "--name", "mine"]
    argv += ["--out", str(tmp_path), "--check", str(tmp_path / "answers.npz")]
    assert main(argv) == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_vectors_in_float64_are_as_good(tmp_path: Path) -> None:
    case = read("linformer-net")
    save_file(case.state, tmp_path / "w.safetensors")
    given, wanted = case.inputs[0].double().numpy(), case.outputs[0].numpy()
    np.savez(tmp_path / "answers.npz", input=given, output=wanted)
    argv = ["import", "Linformer", str(tmp_path / "w.safetensors"), *told(case), "--name", "mine"]
    argv += ["--out", str(tmp_path), "--check", str(tmp_path / "answers.npz")]
    assert main(argv) == 0


class Harm:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('executed')",))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["Reformer", "w.pt"], "no class 'Reformer' is known"),
        (["PerformerLM", "w.pt", "--with", "dim"], "--with dim: must be KEY=VALUE"),
        (["PerformerLM", "w.pt", "--with", "dim=x"], "--with dim=x: the value must be JSON"),
        (["PerformerLM", "none.pt"], "none.pt: cannot be read as weights"),
        (["PerformerLM", "harm.pt"], "harm.pt: cannot be read as weights"),
        (["PerformerLM", "list.pt"], "list.pt: holds no state_dict"),
    ],
)
def test_what_is_wrong_is_one_line(
    argv: list[str],
    message: str,
    case: Case,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(case.state, "w.pt")
    torch.save({"weights": Harm()}, "harm.pt")
    torch.save([1, 2], "list.pt")
    assert main(["import", *argv, "--name", "mine", "--out", "out"]) == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not Path("out").exists()
