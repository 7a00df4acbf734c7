"""Several workers' repositories on one loop: they change together or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from service.errors import BadBundle, Conflict, NotServing, ServiceError, UnknownModel
from service.repository.control import Control
from service.siblings import Siblings, meeting_place
from tests.service.harms import vouch
from tests.service.repository.folders import add_version, serving, versions

COUNT = 3


class Worker:
    """What a process has of it."""

    def __init__(self, root: Path, siblings: Siblings) -> None:
        self.siblings, self.service = siblings, serving(root)
        self.control = Control(self.service.repository, siblings)

    @property
    def versions(self) -> list[str]:
        return versions(self.service, "plain")


@pytest.fixture
def root(bundles: Path, tmp_path: Path) -> Path:
    add_version(bundles, tmp_path, "plain", "1")
    return tmp_path


def together(root: Path, test: Callable[[list[Worker]], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        with meeting_place() as folder:
            workers = [Worker(root, Siblings(folder, index, COUNT)) for index in range(COUNT)]
            for worker in workers:
                await worker.siblings.start()
            try:
                async with asyncio.timeout(60):
                    return await test(workers)
            finally:
                for worker in workers:
                    await worker.siblings.stop()
                    worker.service.repository.close()
                    await worker.service.engine.close()

    return asyncio.run(run())


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
            with pytest.raises(ServiceError, match="internal error"):
                loading = asyncio.create_task(workers[0].control.load("plain"))
                await asyncio.sleep(0.05)
                go.set()
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


def test_workers_that_find_different_files_do_not_change(bundles: Path, root: Path) -> None:
    async def test(workers: list[Worker]) -> None:
        folder = add_version(bundles, root, "plain", "2")
        other = workers[2].service.repository
        prepare = other.prepare

        async def late(*about: Any) -> Any:
            vouch(folder, description="another")
            return await prepare(*about)

        other.prepare = late  # type: ignore[method-assign]
        with pytest.raises(Conflict, match="workers find different files"):
            await workers[0].control.load("plain")
        assert [worker.versions for worker in workers] == [["1"]] * COUNT

    together(root, test)


def test_a_worker_that_comes_in_the_midst_of_a_load_serves_what_is_new(
    bundles: Path, root: Path
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

        own.prepare = meanwhile  # type: ignore[method-assign]
        await workers[0].control.load("plain")
        assert [worker.versions for worker in workers] == [["2"]] * COUNT

    together(root, test)


def test_a_worker_that_comes_back_does_without_what_lies_there_otherwise_now(
    bundles: Path, root: Path
) -> None:
    async def test(workers: list[Worker]) -> None:
        vouch(root / "plain" / "1", description="another")
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


def test_one_that_is_alone_serves_what_it_has(root: Path) -> None:
    async def test(workers: list[Worker]) -> list[str]:
        alone = Control(workers[0].service.repository, Siblings())
        await alone.join()
        return workers[0].versions

    assert together(root, test) == ["1"]
