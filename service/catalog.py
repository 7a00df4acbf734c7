"""What is served: models by name and version, their aliases, and which version is meant."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import TracebackType
from typing import Protocol

from service.engine.starts import Starts
from service.errors import UnknownModel, quoted
from service.explain.omissions import Omissions
from service.manifest import Manifest
from service.pack import Pack
from service.streams.walk import Walk


class Model(Starts, Protocol):
    """What is needed of a session."""

    def walk(self) -> Walk:
        """A sequence that comes piece by piece."""

    def omissions(self, pack: Pack, most: int) -> Omissions | None:
        """Outputs without each token in turn; None where that takes runs of all the others."""


@dataclass(eq=False, slots=True)
class Served:
    """A version that is loaded. A context: while somebody is in it, it is not let go.

    id: what the engine knows it by, ``name/version`` and a number where it was loaded again; usual:
    inputs like those of training, where they are known.
    """

    session: Model
    again: int = 0
    usual: Pack | None = None
    id: str = field(init=False)
    manifest: Manifest = field(init=False)
    _users: int = field(default=0, init=False)
    _left: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def __post_init__(self) -> None:
        self.manifest = own = self.session.manifest
        self.id = f"{own.name}/{own.version}" + (f"/{self.again}" if self.again else "")

    def __enter__(self) -> Served:
        self._users += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._users -= 1
        self._left.set()

    async def unused(self) -> None:
        """Wait until nobody is in it."""
        while self._users:
            self._left.clear()
            await self._left.wait()


@lru_cache(1024)  # asked several times with every request
def named(model: str) -> tuple[str, str]:
    """Name and version of what has that id."""
    name, version, *_ = model.split("/")
    return name, version


class Catalog:
    """Every version that takes requests. Where none is named the highest is meant that does not
    fail its golden inputs.
    """

    def __init__(self, failing: Mapping[str, str]) -> None:
        """failing: ids of those that do."""
        self._failing = failing
        self._models: dict[str, dict[str, Served]] = {}  # by name and version, the highest first
        self.aliases: dict[str, Mapping[str, str]] = {}  # by name: alias -> version

    def __iter__(self) -> Iterator[Served]:
        return (served for versions in self._models.values() for served in versions.values())

    def versions(self, name: str) -> Mapping[str, Served]:
        """Those of one model, the highest first."""
        return self._models.get(name, {})

    def find(self, name: str, version: str | None = None) -> Served:
        """The version of a model that is meant, by its number, by an alias, or by neither.

        Raises UnknownModel.
        """
        versions = self._models.get(name)
        if not versions:
            known = ", ".join(self._models) or "none at present"
            raise UnknownModel(f"unknown model {quoted(name)}; served here: {known}")
        if version is None:
            return self._default(versions)
        aliases = self.aliases.get(name, {})
        found = versions.get(version) or versions.get(aliases.get(version, ""))
        if not found:
            what = f"version {quoted(version, 20)} of model {name!r}"
            known = ", ".join([*versions, *(a for a, v in aliases.items() if v in versions)])
            raise UnknownModel(f"{what} is not served; served are: {known}")
        return found

    def _default(self, versions: Mapping[str, Served]) -> Served:
        for served in versions.values():
            if served.id not in self._failing:
                return served
        return next(iter(versions.values()))

    def is_default(self, served: Served) -> bool:
        """Whether it is what is meant where no version is named."""
        return self._default(self._models[served.manifest.name]) is served

    def aliases_of(self, served: Served) -> list[str]:
        """Its other names."""
        aliases = self.aliases.get(served.manifest.name, {})
        return [alias for alias, version in aliases.items() if version == served.manifest.version]

    def add(self, served: Served) -> Served | None:
        """From now on requests find it; what they found in its place before."""
        name, version = served.manifest.name, served.manifest.version
        before = self._models.get(name, {})
        every = {**before, version: served}
        self._models[name] = {key: every[key] for key in sorted(every, key=int, reverse=True)}
        self._models = {name: self._models[name] for name in sorted(self._models)}
        return before.get(version)

    def remove(self, served: Served) -> None:
        """From now on requests do not find it."""
        name, version = served.manifest.name, served.manifest.version
        left = {key: own for key, own in self._models[name].items() if key != version}
        every = self._models | {name: left}  # others may be going through the old ones
        self._models = {key: own for key, own in every.items() if own}
