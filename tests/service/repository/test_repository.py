"""Loading and unloading in one process, with real bundles."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.application import Service
from service.errors import BadBundle, BundleError, Conflict, UnknownModel
from service.pack import Pack
from tests.service.harms import vouch
from tests.service.repository.folders import add_version, serving, versions

PACK = Pack.of("x", [np.ones((5, 3), np.float32)])


@pytest.fixture
def root(bundles: Path, tmp_path: Path) -> Path:
    add_version(bundles, tmp_path, "plain", "1")
    return tmp_path


def run(root: Path, test: Callable[[Service], Awaitable[Any]], **settings: object) -> Any:
    service = serving(root, **settings)

    async def body() -> Any:
        async with asyncio.timeout(60):
            try:
                return await test(service)
            finally:
                service.repository.close()
                await service.engine.close()

    return asyncio.run(body())


async def change(service: Service, name: str, version: str | None = None) -> None:
    await service.repository.prepare("it", name, version)
    service.repository.commit("it")


async def gone(service: Service) -> None:
    """Until what is to go has."""
    while service.repository.leaving:
        await asyncio.sleep(0.01)


async def answer(service: Service, version: str | None = None) -> Any:
    with service.catalog.find("plain", version) as served:
        return (await service.engine.predict(served.id, PACK)).outputs["y"]


def test_a_new_version_takes_the_place_of_the_old_one(bundles: Path, root: Path) -> None:
    async def test(service: Service) -> None:
        before = await answer(service)
        add_version(bundles, root, "plain", "2")
        await change(service, "plain")
        assert versions(service, "plain") == ["2"]
        assert np.array_equal(await answer(service), before)
        await gone(service)
        assert [*service.engine.costs] == ["plain/2"]

    run(root, test)


def test_nothing_changes_before_a_change_is_committed(bundles: Path, root: Path) -> None:
    async def test(service: Service) -> None:
        add_version(bundles, root, "plain", "2")
        await service.repository.prepare("it", "plain")
        assert versions(service, "plain") == ["1"]
        with pytest.raises(Conflict, match="'plain' is being loaded"):
            await service.repository.prepare("other", "plain")
        service.repository.abandon("other")
        with pytest.raises(Conflict):
            await service.repository.prepare("other", "plain")
        service.repository.abandon("it")
        assert versions(service, "plain") == ["1"]
        await change(service, "plain")
        assert versions(service, "plain") == ["2"]

    run(root, test)


def test_who_is_being_answered_is_answered_by_what_is_going(bundles: Path, root: Path) -> None:
    async def test(service: Service) -> None:
        add_version(bundles, root, "plain", "2")
        with service.catalog.find("plain") as served:
            await change(service, "plain")
            await asyncio.sleep(0.05)
            assert service.repository.leaving == {served}
            await service.engine.predict(served.id, PACK)
        await gone(service)
        with pytest.raises(UnknownModel):
            service.catalog.find("plain", "1")

    run(root, test)


def test_a_version_whose_files_have_changed_is_loaded_again(root: Path) -> None:
    async def test(service: Service) -> None:
        first = service.catalog.find("plain")
        await change(service, "plain")
        assert service.catalog.find("plain") is first
        vouch(root / "plain" / "1", flops_per_token=1)
        await change(service, "plain")
        again = service.catalog.find("plain")
        assert (first.id, again.id) == ("plain/1", "plain/1/1")
        assert again.manifest.flops_per_token == 1
        await answer(service)
        await gone(service)
        assert [*service.engine.costs] == ["plain/1/1"]

    run(root, test)


def test_a_bundle_that_is_half_there_changes_nothing(bundles: Path, root: Path) -> None:
    async def test(service: Service) -> None:
        folder = add_version(bundles, root, "plain", "2")
        graph = next(folder.glob("*.onnx"))
        whole = graph.read_bytes()
        graph.write_bytes(whole[:100])
        with pytest.raises(BadBundle, match=r"^plain/2/.*: corrupted, SHA-256") as caught:
            await change(service, "plain")
        assert str(root) not in str(caught.value)
        assert "corrupted" in service.repository.failed["plain", "2"]
        assert versions(service, "plain") == ["1"]
        await answer(service)
        graph.write_bytes(whole)
        await change(service, "plain")
        assert versions(service, "plain") == ["2"]
        assert not service.repository.failed

    run(root, test)


def test_one_version_may_be_loaded_besides_and_let_go_again(bundles: Path, root: Path) -> None:
    async def test(service: Service) -> None:
        add_version(bundles, root, "plain", "2")
        await change(service, "plain", "2")
        assert versions(service, "plain") == ["2", "1"]
        service.repository.unload("plain", ["2", "7"])
        assert versions(service, "plain") == ["1"]
        await gone(service)
        await change(service, "plain", "2")
        await answer(service, "2")
        service.repository.unload("plain", ["1", "2"])
        with pytest.raises(UnknownModel, match="none at present"):
            await answer(service)
        await change(service, "plain", "1")
        await answer(service)

    run(root, test)


def test_what_does_not_lie_there_is_not_loaded(root: Path) -> None:
    async def test(service: Service) -> None:
        for name in ("other", "../plain", "", "plain/1"):
            with pytest.raises(UnknownModel, match="no model"):
                await change(service, name)
        with pytest.raises(UnknownModel, match="no version '9' of 'plain'"):
            await change(service, "plain", "9")
        assert versions(service, "plain") == ["1"]

    run(root, test)


def test_aliases_are_read_anew(bundles: Path, root: Path) -> None:
    async def test(service: Service) -> None:
        assert versions(service, "plain") == ["2", "1"]
        with service.catalog.find("plain", "stable") as served:
            assert served.manifest.version == "1"
        (root / "plain" / "aliases.json").write_text('{"canary": "2"}')
        await change(service, "plain")
        assert versions(service, "plain") == ["2"]
        with pytest.raises(UnknownModel, match=r"'stable'.* is not served; served are: 2, canary"):
            service.catalog.find("plain", "stable")

    add_version(bundles, root, "plain", "2")
    (root / "plain" / "aliases.json").write_text('{"stable": "1"}')
    run(root, test)


def test_an_alias_stays_what_it_was_where_its_new_version_is_not_served(
    bundles: Path, root: Path
) -> None:
    async def test(service: Service) -> None:
        for version in "23":
            add_version(bundles, root, "plain", version)
        (root / "plain" / "aliases.json").write_text('{"stable": "3", "canary": "2"}')
        await change(service, "plain", "2")
        with service.catalog.find("plain", "stable") as stable:
            assert stable.manifest.version == "1"
        with service.catalog.find("plain", "canary") as canary:
            assert canary.manifest.version == "2"

    (root / "plain" / "aliases.json").write_text('{"stable": "1"}')
    run(root, test)


def test_what_is_unloaded_is_freed(root: Path) -> None:
    async def test(service: Service) -> Any:
        session = weakref.ref(service.catalog.find("plain").session)
        await answer(service)
        service.repository.unload("plain", ["1"])
        await gone(service)
        return session

    session = run(root, test)
    gc.collect()
    assert session() is None


def test_a_server_starts_with_no_bundle_that_is_not_whole(bundles: Path, root: Path) -> None:
    folder = add_version(bundles, root, "plain", "2")
    next(folder.glob("*.onnx")).unlink()
    with pytest.raises(BundleError, match="plain/2"):
        serving(root)
    with pytest.raises(BundleError, match="holds no bundle"):
        serving(root / "plain" / "1")


def test_what_was_unloaded_while_its_successor_was_prepared_is_not_missed(
    bundles: Path, root: Path
) -> None:
    async def test(service: Service) -> None:
        add_version(bundles, root, "plain", "2")
        await service.repository.prepare("it", "plain")
        service.repository.unload("plain", ["1"])
        service.repository.commit("it")
        assert versions(service, "plain") == ["2"]
        await gone(service)
        assert [*service.engine.costs] == ["plain/2"]

    run(root, test)
