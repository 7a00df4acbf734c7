from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from service.errors import BadBundle, Conflict, NotServing, ServiceError
from service.repository.folder import Folder
from service.repository.watch import Watch


class Control:
    """Notes what it is asked for, and raises what it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.error: ServiceError | None = None

    async def load(self, name: str) -> None:
        self.asked.append(f"load {name}")
        if self.error:
            raise self.error

    async def unload(self, name: str) -> None:
        self.asked.append(f"unload {name}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "repository" / "m" / "1" / "bundle.json")
    return tmp_path / "repository"


def write(path: Path, text: str = "{}") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def looks(
    root: Path, *changes: Callable[[], object], error: ServiceError | None = None
) -> list[str]:
    """What is asked for when one looks after every change."""

    async def body() -> list[str]:
        control = Control()
        control.error = error
        watch = Watch(Folder(root), control, Folder(root).stamps())
        for make in changes:
            make()
            await watch.look()
        return control.asked

    return asyncio.run(body())


def nothing() -> None:
    """It stays as it is."""


def test_what_was_there_at_the_start_is_not_loaded_again(root: Path) -> None:
    assert looks(root, nothing, nothing) == []


def test_a_new_version_is_loaded_once_it_has_come_to_rest(root: Path) -> None:
    def copying(size: int) -> Callable[[], None]:
        return lambda: write(root / "m" / "2" / "graph.onnx", "x" * size)

    assert looks(root, copying(1), copying(2), copying(3)) == []
    shutil.rmtree(root / "m" / "2")
    assert looks(root, copying(1), copying(2), nothing, nothing) == ["load m"]


def test_so_is_a_new_model_and_what_is_gone_is_unloaded(root: Path) -> None:
    def come() -> None:
        write(root / "n" / "1" / "bundle.json")

    def go() -> None:
        shutil.rmtree(root / "m")

    assert looks(root, come, nothing, go, nothing, nothing) == ["load n", "unload m"]


def test_other_aliases_are_a_change(root: Path) -> None:
    assert looks(root, lambda: write(root / "m" / "aliases.json"), nothing) == ["load m"]


def test_what_cannot_be_loaded_is_tried_again_when_it_changes(root: Path) -> None:
    def half() -> None:
        write(root / "m" / "2" / "bundle.json", "{")

    def whole() -> None:
        write(root / "m" / "2" / "bundle.json", "{}")

    error = BadBundle("corrupted")
    tried = looks(root, half, nothing, nothing, nothing, whole, nothing, nothing, error=error)
    assert tried == ["load m"] * 2


@pytest.mark.parametrize("error", [Conflict("busy"), NotServing("a worker has died")])
def test_what_something_was_in_the_way_of_is_tried_again(root: Path, error: ServiceError) -> None:
    def come() -> None:
        write(root / "m" / "2" / "bundle.json")

    assert looks(root, come, nothing, nothing, error=error) == ["load m"] * 2


def test_a_folder_that_is_gone_altogether_unloads_nothing(root: Path) -> None:
    away = root.with_name("away")
    changes = lambda: root.rename(away), nothing, nothing, lambda: away.rename(root), nothing
    assert looks(root, *changes) == []


def test_a_folder_that_is_empty_unloads_nothing(root: Path) -> None:
    away = root.with_name("away")

    def unmount() -> None:
        root.rename(away)
        root.mkdir()

    assert looks(root, unmount, nothing, nothing) == []


def test_what_changes_while_the_server_starts_is_loaded(root: Path) -> None:
    opened = Folder(root).stamps()
    write(root / "m" / "2" / "bundle.json")

    async def body() -> list[str]:
        control = Control()
        watch = Watch(Folder(root), control, opened)
        await watch.look()
        await watch.look()
        return control.asked

    assert asyncio.run(body()) == ["load m"]


def test_hidden_files_are_no_change(root: Path) -> None:
    changes = lambda: write(root / "m" / ".2-abc" / "new" / "graph.onnx"), nothing
    assert looks(root, *changes) == []
