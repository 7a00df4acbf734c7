"""Several workers' repositories on one loop: they change together or not at all."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from service.errors import BadBundle, Conflict, NotServing, ServiceError, UnknownModel
from tests.service.harms import vouch
from tests.service.repository.folders import add_version
from tests.service.repository.workers import COUNT, Worker, together


@pytest.fixture
def root(bundles: Path, tmp_path: Path) -> Path:
    add_version(bundles, tmp_path, "plain", "1")
    return tmp_path


def test_all_workers_change_at_once(bundles: Path, root: Path) -> None:
    async def test(workers: list[Worker]) -> None:
        add_version(bundles, root, "plain", "2")
        await workers[1].control.load("plain")
        assert [worker.versions for worker in workers] == [["2"]] * COUNT
        await workers[2].control.load("plain", "1")
        assert [worker.versions for worker in workers] == [["2", "1"]] * COUNT
        await workers[0].control.unload("plain", "2")
        assert [worker.versions for worker in workers] == [["1"]] * COUNT
        await workers[0].control.unload("plain")
        assert [worker.versions for worker in workers] == [[]] * COUNT

    together(root, test)


def test_none_changes_where_one_cannot(bundles: Path, root: Path) -> None:
    async def test(workers: list[Worker]) -> None:
        add_version(bundles, root, "plain", "2")
        await workers[2].service.repository.prepare("another", "plain")
        with pytest.raises(Conflict, match="'plain' is being loaded"):
            await workers[0].control.load("plain")
        assert [worker.versions for worker in workers] == [["1"]] * COUNT
        workers[2].service.repository.abandon("another")
        await workers[0].control.load("plain")
        assert [worker.versions for worker in workers] == [["2"]] * COUNT

    together(root, test)


def test_of_two_loads_at_once_one_or_none_is_done_and_nobody_waits_for_ever(
    bundles: Path, root: Path
) -> None:
    async def test(workers: list[Worker]) -> None:
        add_version(bundles, root, "plain", "2")
        both = [worker.control.load("plain") for worker in workers[:2]]
        found = await asyncio.gather(*both, return_exceptions=True)
        assert {type(one) for one in found} <= {type(None), Conflict}
        assert len({tuple(worker.versions) for worker in workers}) == 1
        await workers[2].control.load("plain")
        assert [worker.versions for worker in workers] == [["2"]] * COUNT

    together(root, test)


def test_a_bundle_that_is_not_whole_changes_no_worker(bundles: Path, root: Path) -> None:
    async def test(workers: list[Worker]) -> None:
        next(add_version(bundles, root, "plain", "2").glob("*.onnx")).unlink()
        with pytest.raises(BadBundle, match="plain/2"):
            await workers[0].control.load("plain")
        with pytest.raises(UnknownModel):
            await workers[0].control.load("nothing")
        with pytest.raises(UnknownModel):
            await workers[0].control.unload("plain", "2")
        assert [worker.versions for worker in workers] == [["1"]] * COUNT

    together(root, test)


def test_a_worker_that_does_not_answer_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(workers: list[Worker]) -> None:
        async def never(**_: Any) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr("service.repository.control.LOAD_SECONDS", 0.2)
        workers[1].siblings.answer("prepare", never)
        with pytest.raises(NotServing, match="worker 1 does not answer; nothing was changed"):
            await workers[0].control.load("plain")
        with pytest.raises(NotServing):  # and not a Conflict with what was given up
            await workers[0].control.load("plain")

    together(root, test)


def test_a_load_that_is_given_up_while_it_goes_on_leaves_nothing(
    bundles: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(workers: list[Worker]) -> None:
        add_version(bundles, root, "plain", "2")
        repository, go = workers[1].service.repository, asyncio.Event()
        loaded = repository._loaded

        async def slowly(folder: Path) -> Any:
            await go.wait()
            return await loaded(folder)

        def exhausted(name: str, version: str | None = None) -> Any:
            raise MemoryError

        monkeypatch.setattr(repository, "_loaded", slowly)
        with monkeypatch.context() as patch:
            patch.setattr(workers[0].service.repository, "_prepared", exhausted)
            loading = asyncio.create_task(workers[0].control.load("plain"))
            await asyncio.sleep(0.05)
            go.set()
            with pytest.raises(ServiceError, match="internal error"):
                await loading
        assert [worker.versions for worker in workers] == [["1"]] * COUNT
        await workers[0].control.load("plain")
        assert [worker.versions for worker in workers] == [["2"]] * COUNT

    together(root, test)


def test_a_change_that_is_given_up_meanwhile_is_not_prepared(bundles: Path, root: Path) -> None:
    async def test(workers: list[Worker]) -> None:
        add_version(bundles, root, "plain", "2")
        repository = workers[0].service.repository
        preparing = asyncio.create_task(repository.prepare("it", "plain"))
        await asyncio.sleep(0)
        repository.abandon("it")
        with pytest.raises(Conflict, match="was given up"):
            await preparing
        assert not repository.commit("it")
        await workers[0].control.load("plain")
        assert workers[0].versions == ["2"]

    together(root, test)


def test_workers_that_find_different_files_do_not_change(
    bundles: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(workers: list[Worker]) -> None:
        folder = add_version(bundles, root, "plain", "2")
        other = workers[2].service.repository
        prepare = other.prepare

        async def late(*about: Any) -> Any:
            while not all(worker.prepared for worker in workers[:2]):
                await asyncio.sleep(0.01)
            vouch(folder, flops_per_token=7)
            return await prepare(*about)

        monkeypatch.setattr(other, "prepare", late)
        with pytest.raises(Conflict, match="workers find different files"):
            await workers[0].control.load("plain")
        assert [worker.versions for worker in workers] == [["1"]] * COUNT

    together(root, test)
