from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.process import SUMSERVE
from service.cli import main
from tests.conftest import SHIPPED

COMMANDS = ["evaluate", "export", "health", "predict", "serve", "train", "verify"]


def test_the_overview_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in COMMANDS)


def test_an_unknown_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sreve"]) == 2
    assert "unknown command 'sreve'" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command_shows_how_it_is_used(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([name, "--help"])
    assert f"sumserve {name}" in capsys.readouterr().out.partition("options:")[0]


def test_errors_are_one_line_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "nowhere"]) == 1
    err = capsys.readouterr().err
    assert err == "sumserve verify: nowhere/bundle.json: No such file or directory\n"


def test_a_bad_setting_stops_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--port", "x"]) == 1
    assert "--port: " in capsys.readouterr().err


def test_a_corrupted_bundle_stops_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bundles: Path
) -> None:
    folder = tmp_path / "plain" / "1"
    folder.mkdir(parents=True)
    for file in (bundles / "plain" / "1").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "stage1.onnx").write_bytes(b"")
    assert main(["serve", "--models", str(tmp_path)]) == 1
    assert "stage1.onnx: corrupted" in capsys.readouterr().err


BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {blocked!r}:
            raise ModuleNotFoundError('blocked', name=name)
sys.meta_path.insert(0, Block())
from service.cli import main
sys.exit(main({argv!r}))
"""


def run_without(blocked: set[str], *argv: str) -> subprocess.CompletedProcess[str]:
    code = BLOCKED.format(blocked=blocked, argv=list(argv))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_verify_and_predict_run_without_torch(tmp_path: Path) -> None:
    lines = tmp_path / "sets.jsonl"
    lines.write_text("[1,2,3]\n[]\n")
    bundle = str(SHIPPED / "digit_sum" / "1")
    heavy = {"torch", "onnx", "onnxscript", "sklearn", "safetensors", "models", "export"}
    assert run_without(heavy, "verify", bundle).returncode == 0
    assert run_without(heavy, "predict", bundle, str(lines)).stdout.count("output") == 2


def test_train_without_torch_says_what_to_install(tmp_path: Path) -> None:
    found = run_without({"torch"}, "train", "digits", "--out", str(tmp_path))
    assert found.returncode == 1
    assert found.stderr == (
        "sumserve train: torch is not installed: pip install 'sumserve[train]'\n"
    )


def test_serving_without_onnxruntime_says_what_to_install() -> None:
    found = run_without({"onnxruntime"}, "serve", "--models", str(SHIPPED))
    assert found.returncode == 1
    assert "pip install 'sumserve[cpu]' or 'sumserve[gpu]'" in found.stderr
    assert "Traceback" not in found.stderr


def test_the_console_script_is_installed() -> None:
    found = subprocess.run([SUMSERVE, "--help"], capture_output=True, text=True)
    assert (found.returncode, "commands:" in found.stdout) == (0, True)
