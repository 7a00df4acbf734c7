from __future__ import annotations

from pathlib import Path

import pytest

from service.errors import BundleError
from service.repository.folder import Folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("m/2", "m/10", "m/9", "a/1"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "README").touch()
    return tmp_path


def test_the_highest_version_comes_first_by_number_not_by_name(root: Path) -> None:
    found = Folder(root).models()
    assert {name: [*versions] for name, versions in found.items()} == {
        "a": ["1"],
        "m": ["10", "9", "2"],
    }
    assert found["m"]["9"] == root / "m" / "9"


@pytest.mark.parametrize(
    ("newest", "chosen"), [(1, ["10", "2"]), (2, ["10", "9", "2"]), (0, ["10", "9", "2"])]
)
def test_the_newest_are_served_and_those_that_an_alias_names(
    root: Path, newest: int, chosen: list[str]
) -> None:
    (root / "m" / "aliases.json").write_text('{"stable": "2"}')
    folder = Folder(root, newest)
    versions = folder.models()["m"]
    aliases = folder.aliases("m", versions)
    assert aliases == {"stable": "2"}
    assert [*folder.chosen(versions, aliases)] == chosen


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "is to be an object"),
        ('{"stable": "3"}', "'stable' is version '3', which is not there"),
        ('{"stable": 2}', "'stable' is version 2, which is not there"),
        ('{"Stable": "2"}', "'Stable' is no alias"),
        ('{"2": "2"}', "'2' is no alias"),
        (" " * 2_000_000, "the limit is"),
        ("[" * 100_000, "not JSON"),
    ],
    ids=range(8),
)
def test_aliases_that_are_none_are_named(root: Path, text: str, message: str) -> None:
    (root / "m" / "aliases.json").write_text(text)
    folder = Folder(root)
    with pytest.raises(BundleError, match=rf"m/aliases\.json: .*{message}"):
        folder.aliases("m", folder.models()["m"])


def test_a_folder_of_aliases_that_is_a_link_is_not_followed(root: Path) -> None:
    (root / "elsewhere").write_text("{}")
    (root / "m" / "aliases.json").symlink_to(root / "elsewhere")
    folder = Folder(root)
    with pytest.raises(BundleError, match="links are not followed"):
        folder.aliases("m", folder.models()["m"])


def test_a_folder_that_is_not_there_and_one_that_is_no_version_are_named(root: Path) -> None:
    with pytest.raises(BundleError, match="not a folder of bundles"):
        Folder(root / "nowhere").models()
    (root / "m" / "new").mkdir()
    with pytest.raises(BundleError, match=r"m/new: a version folder is named by a number"):
        Folder(root).models()


def test_something_odd_in_one_model_is_not_in_the_way_of_another(root: Path) -> None:
    (root / "a" / "new").mkdir()
    assert [*Folder(root).versions("m")] == ["10", "9", "2"]
    assert Folder(root).versions("nothing") == {}
    assert Folder(root).versions("..") == {}
    assert Folder(root).version("a", "1") == root / "a" / "1"
    for name, version in (("a", "new"), ("a", "2"), ("..", "1"), ("a", "../a")):
        assert Folder(root).version(name, version) is None


def test_a_model_that_is_a_link_is_refused(root: Path, tmp_path: Path) -> None:
    (root / "b").symlink_to(root / "a")
    with pytest.raises(BundleError, match="b: is a link"):
        Folder(root).versions("b")


def test_no_path_is_told(root: Path) -> None:
    told = f"{root}/m/2/bundle.json is missing; {root}: not a folder"
    hidden = "m/2/bundle.json is missing; the folder of models: not a folder"
    assert Folder(root).hidden(told) == hidden


def test_a_half_written_export_is_not_found(root: Path) -> None:
    (root / "n" / ".1-abc" / "new").mkdir(parents=True)
    (root / ".hidden" / "1").mkdir(parents=True)
    assert [*Folder(root).models()] == ["a", "m"]
