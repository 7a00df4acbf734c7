from __future__ import annotations

import asyncio

import pytest

from service.catalog import Catalog, Served, named
from service.errors import UnknownModel
from tests.service.fakes import Summing, manifest


def served(name: str, version: str, again: int = 0) -> Served:
    return Served(Summing(manifest(name).model_copy(update={"version": version})), again)


def catalog(*versions: str, failing: dict[str, str] | None = None) -> Catalog:
    made = Catalog({} if failing is None else failing)
    for version in versions:
        made.add(served("m", version))
    return made


def found(made: Catalog, version: str | None = None) -> str:
    return made.find("m", version).manifest.version


def test_the_highest_version_is_meant_by_number_not_by_name() -> None:
    made = catalog("9", "10", "2")
    assert found(made) == "10"
    assert [*made.versions("m")] == ["10", "9", "2"]
    assert [made.is_default(one) for one in made] == [True, False, False]


def test_a_version_that_fails_is_not_meant_while_another_does_not() -> None:
    failing: dict[str, str] = {}
    made = catalog("1", "2", failing=failing)
    failing["m/2"] = "golden inputs"
    assert found(made) == "1"
    assert found(made, "2") == "2"
    failing["m/1"] = "too"
    assert found(made) == "2"


def test_an_alias_means_a_version() -> None:
    made = catalog("1", "2")
    made.aliases["m"] = {"stable": "1", "next": "7"}
    assert found(made, "stable") == "1"
    assert made.aliases_of(made.find("m", "1")) == ["stable"]
    with pytest.raises(UnknownModel, match="'next' of model 'm' is not served; served are: 2, 1"):
        made.find("m", "next")


def test_what_is_not_served_is_named_with_what_is() -> None:
    made = catalog("1")
    with pytest.raises(UnknownModel, match="unknown model 'n'; served here: m"):
        made.find("n")
    with pytest.raises(UnknownModel, match="version '3' of model 'm' is not served; served are: 1"):
        made.find("m", "3")
    made.remove(made.find("m"))
    with pytest.raises(UnknownModel, match="served here: none at present"):
        made.find("m")


def test_a_version_takes_another_s_place_and_has_an_id_of_its_own() -> None:
    made = catalog("1")
    before, after = made.find("m"), served("m", "1", again=4)
    assert made.add(after) is before
    assert made.find("m", "1") is after
    assert (before.id, after.id) == ("m/1", "m/1/4")
    assert named(before.id) == named(after.id) == ("m", "1")


def test_who_is_in_it_is_waited_for() -> None:
    async def body() -> list[str]:
        own, events = served("m", "1"), []
        inside = own.__enter__()
        with own:
            waiting = asyncio.create_task(own.unused())
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        events.append("waits" if not waiting.done() else "went")
        inside.__exit__(None, None, None)
        async with asyncio.timeout(5):
            await waiting
        return events

    assert asyncio.run(body()) == ["waits"]
