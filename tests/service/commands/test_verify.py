from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from service.cli import main
from service.pack import Array, Pack
from service.session import Session


def test_every_bundle_named_is_checked(bundles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["plain", "ids"]
    argv = ["verify", *(str(bundles / name / "1") for name in names), "--tokens", "2000"]
    assert main(argv) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["plain/1 fp32"] * 2 + ["ids/1 fp32"] * 2
    assert ["golden error" in line for line in lines] == [True, False, True, False]
    assert ["the same to the last bit" in line for line in lines] == [False, True, False, True]


def test_golden_answers_only_is_for_those_in_a_hurry(
    bundles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(bundles / "stack" / "1"), "--tokens", "0"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "golden error" in line


def test_a_race_that_golden_answers_do_not_show_is_found(
    bundles: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Session.run

    def racing(self: Session, pack: Pack, slice_tokens: int | None = None) -> dict[str, Array]:
        noise = 1e-8 * np.random.default_rng().normal()
        return {k: v + np.float32(noise) for k, v in real(self, pack, slice_tokens).items()}

    monkeypatch.setattr(Session, "run", racing)
    assert main(["verify", str(bundles / "plain" / "1"), "--tokens", "2000"]) == 1
    assert "answers depend on company" in capsys.readouterr().err
