"""Workers that come in the place of one that has died serve what the others do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from service.repository.control import Control
from service.siblings import SECONDS, Siblings
from tests.service.harms import vouch
from tests.service.repository.folders import add_version
from tests.service.repository.workers import COUNT, Worker, together


@pytest.fixture
def root(bundles: Path, tmp_path: Path) -> Path:
    add_version(bundles, tmp_path, "plain", "1")
    return tmp_path


def test_a_worker_that_comes_in_the_midst_of_a_load_serves_what_is_new(
    bundles: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(workers: list[Worker]) -> None:
        add_version(bundles, root, "plain", "2")
        late = workers[2]
        await late.siblings.stop()
        own = workers[0].service.repository
        prepare = own.prepare

        async def meanwhile(*about: Any) -> Any:
            prepared = await prepare(*about)
            await late.siblings.start()
            await late.control.join()
            return prepared

        monkeypatch.setattr(own, "prepare", meanwhile)
        await workers[0].control.load("plain")
        assert [worker.versions for worker in workers] == [["2"]] * COUNT

    together(root, test)


def test_a_worker_that_comes_back_does_without_what_lies_there_otherwise_now(
    bundles: Path, root: Path
) -> None:
    async def test(workers: list[Worker]) -> None:
        vouch(root / "plain" / "1", flops_per_token=7)
        await workers[2].service.repository.become(workers[0].service.repository.serving)
        assert workers[2].versions == ["1"], "which it had opened before"
        workers[2].service.repository.unload("plain", ["1"])
        await workers[2].control.join()
        assert workers[2].versions == []

    together(root, test)


def test_a_worker_that_comes_back_serves_what_the_others_do(bundles: Path, root: Path) -> None:
    async def test(workers: list[Worker]) -> None:
        add_version(bundles, root, "plain", "2")
        await workers[2].siblings.stop()
        await workers[0].control.load("plain", "2")
        await workers[0].control.unload("plain", "1")
        assert [worker.versions for worker in workers] == [["2"], ["2"], ["1"]]
        await workers[2].control.join()
        assert workers[2].versions == ["2"]

    together(root, test)


def test_others_that_are_busy_for_a_while_are_waited_for(root: Path) -> None:
    async def test(workers: list[Worker]) -> None:
        for worker in workers[:2]:
            worker.service.repository.unload("plain", ["1"])

            async def late(worker: Worker = worker) -> Any:
                await asyncio.sleep(1.2 * SECONDS)
                return worker.service.repository.serving

            worker.siblings.answer("served", late)
        await workers[2].control.join()
        assert workers[2].versions == []

    together(root, test)


def test_one_that_is_alone_serves_what_it_has(root: Path) -> None:
    async def test(workers: list[Worker]) -> list[str]:
        alone = Control(workers[0].service.repository, Siblings())
        await alone.join()
        return workers[0].versions

    assert together(root, test) == ["1"]
