from __future__ import annotations

from pathlib import Path

import pytest

from service.cli import main
from service.keys import load_keys


def test_what_it_prints_goes_into_the_file_and_the_key_is_good(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["key", "team-a", "--tokens-per-second", "100", "--expires", "2999-12-31"]) == 0
    assert main(["key", "ops", "--admin"]) == 0
    said = capsys.readouterr()
    path = tmp_path / "keys.toml"
    path.write_text(said.out)
    team, ops = (line.rpartition(" ")[2] for line in said.err.splitlines())
    assert team not in said.out
    keys = load_keys(path)
    assert keys.check(team, "client").rate == 100
    assert keys.check(ops, "admin").name == "ops"


@pytest.mark.parametrize(
    "wrong", [["a b"], ["team", "--expires", "tomorrow"], ["team", "--tokens-per-second", "-1"]]
)
def test_what_is_no_entry_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", *wrong]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "the new entry: " in said.err
