from __future__ import annotations

from pathlib import Path

import pytest

from service.cli import main


def test_every_bundle_named_is_checked(bundles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(bundles / "plain" / "1"), str(bundles / "ids" / "1")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["plain/1", "ids/1"]
    assert all("golden error" in line for line in lines)
