from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from service.configuration import add_flags, as_toml, load_settings
from service.errors import SettingsError
from service.settings import Settings


def test_flags_win_over_the_environment_and_both_over_defaults() -> None:
    found = load_settings({"SUMSERVE_PORT": "9000", "SUMSERVE_HOST": "::1"}, {"port": "9001"})
    assert (found.port, found.host, found.device) == (9001, "::1", "cpu")


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"SUMSERVE_PORT": "eighty"}, "SUMSERVE_PORT: .*'eighty'"),
        ({"SUMSERVE_PORT": "65536"}, "SUMSERVE_PORT"),
        ({"SUMSERVE_STEP_TOKENS": "0"}, "SUMSERVE_STEP_TOKENS: "),
        ({"SUMSERVE_WORKERS": "0"}, "SUMSERVE_WORKERS: "),
        ({"SUMSERVE_WORKERS": "257"}, "SUMSERVE_WORKERS: "),
        ({"SUMSERVE_DEVICE": "tpu"}, "SUMSERVE_DEVICE"),
        ({"SUMSERVE_DEVICE": "cuda:"}, "SUMSERVE_DEVICE: .*'cuda:'"),
        ({"SUMSERVE_GPU_MEMORY_BYTES": "-1"}, "SUMSERVE_GPU_MEMORY_BYTES"),
        ({"SUMSERVE_PROT": "1"}, "unknown setting SUMSERVE_PROT"),
    ],
)
def test_a_bad_setting_is_named(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(environ, {})


def test_every_bad_setting_is_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"SUMSERVE_PORT.*; .*SUMSERVE_NOPE"):
        load_settings({"SUMSERVE_PORT": "x", "SUMSERVE_NOPE": "1"}, {})


def test_there_is_a_flag_for_every_setting() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    flags = [f"--{name.replace('_', '-')}=1" for name in Settings.model_fields]
    assert set(vars(parser.parse_args(flags))) == {*Settings.model_fields, "config"}
    told = " ".join(parser.format_help().split())
    for name, field in Settings.model_fields.items():
        assert f"{field.description} (default: {field.default}; env " in told
        assert f"SUMSERVE_{name.upper()})" in told


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder's, which is not there yet."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "sumserve.toml"


def test_the_file_of_the_current_folder_is_read_and_all_else_wins_over_it(file: Path) -> None:
    file.write_text('port = 9000\nhost = "::1"\nlog_level = "error"\n')
    found = load_settings({"SUMSERVE_PORT": "9001"}, {"host": "0.0.0.0"})
    assert (found.port, found.host, found.log_level) == (9001, "0.0.0.0", "error")


@pytest.mark.parametrize("way", ["flag", "variable"])
def test_another_file_may_be_named_and_then_has_to_be_there(file: Path, way: str) -> None:
    file.write_text("port = 9000")
    other = file.with_name("other.toml")

    def load() -> Settings:
        named = {"SUMSERVE_CONFIG": str(other)}
        return load_settings(*(({}, {"config": other}) if way == "flag" else (named, {})))

    with pytest.raises(SettingsError, match=r"other\.toml: No such file"):
        load()
    other.write_text("host = 'x'")
    assert (load().port, load().host) == (8080, "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prot = 1", r"unknown setting sumserve\.toml: prot"),
        ("port = 'eighty'", r"sumserve\.toml: port: Input should be a valid integer"),
        ("[server]\nport = 1", r"unknown setting sumserve\.toml: server"),
        ("port =", r"sumserve\.toml: Invalid value"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_the_file(
    file: Path, text: str, message: str
) -> None:
    file.write_text(text)
    with pytest.raises(SettingsError, match=message):
        load_settings({}, {})


def test_what_is_printed_can_be_read_again(file: Path) -> None:
    settings = Settings.model_validate({"port": 1, "spool_folder": "/a b", "drain_seconds": 0.5})
    file.write_text(as_toml(settings))
    assert load_settings({}, {}) == settings
    assert "# keys =" in file.read_text()
