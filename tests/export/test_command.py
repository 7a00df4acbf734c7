from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from service.cli import main
from service.session import Session
from tests.conftest import small_checkpoint


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    small_checkpoint("pooled").save(folder)
    return folder


def test_a_bundle_is_written_where_it_says(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["export", str(checkpoint), "--out", str(tmp_path / "out"), "--bundle-version", "7"]
    argv += ["--effort", "quick"]
    assert main(argv) == 0
    folder = capsys.readouterr().out.strip()
    assert folder == str(tmp_path / "out" / "pooled" / "7")
    assert main(["verify", folder]) == 0


def test_a_mismatch_is_a_non_zero_exit_and_no_bundle(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = Session.run
    monkeypatch.setattr(
        Session,
        "run",
        lambda self, *pack: {k: v * np.float32(1.001) for k, v in real(self, *pack).items()},
    )
    assert (
        main(["export", str(checkpoint), "--effort", "quick", "--out", str(tmp_path / "out")]) == 1
    )
    assert "verification failed" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["nowhere"], "config.json"),
        (["checkpoint", "--bundle-version", "v2"], "must be a number"),
        (["checkpoint", "--threads", "-1"], "0 means as many as CPUs"),
    ],
)
def test_what_is_wrong_is_one_line(
    argv: list[str],
    message: str,
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    argv[0] = str(tmp_path / argv[0])
    assert main(["export", *argv, "--out", str(tmp_path / "out")]) == 1
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()
