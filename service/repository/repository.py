"""What of the folder is served, and how that changes while requests go on.

A change is prepared first: bundles are opened, verified and warmed up, in a thread, and nobody
notices. To commit it takes no time. What is replaced takes no more requests and goes when those it
has are done.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from service.bundle import MANIFEST, read_manifest
from service.catalog import Catalog, Served
from service.engine.engine import Engine
from service.errors import (
    BadBundle,
    BundleError,
    Conflict,
    StartupError,
    UnknownModel,
    quoted,
)
from service.manifest import Manifest
from service.repository.folder import Folder, Versions
from service.repository.loading import Loaded

log = logging.getLogger("sumserve.repository")


class Loads(Protocol):
    """What is needed of a `Loader`."""

    def now(self, folder: Path) -> Loaded:
        """The bundle of a version. Raises BundleError."""

    async def meanwhile(self, folder: Path) -> Loaded:
        """The same, while the event loop goes on."""


@dataclass(frozen=True, slots=True)
class Change:
    """Of one model: what comes, what goes, and its aliases. id: given by whoever asked for it."""

    id: str
    name: str
    aliases: dict[str, str] = field(default_factory=dict)
    fresh: list[Loaded] = field(default_factory=list)
    gone: list[Served] = field(default_factory=list)


class Repository:
    """Of one worker. Lives on the event loop."""

    def __init__(self, folder: Folder, catalog: Catalog, engine: Engine, loader: Loads) -> None:
        self.folder, self.catalog, self._engine, self._loader = folder, catalog, engine, loader
        self.loading: set[tuple[str, str]] = set()  # name and version
        self.failed: dict[tuple[str, str], str] = {}
        self.leaving: set[Served] = set()
        self._change: Change | None = None
        self._loads = 0  # of versions that had been there before
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """At the start: all that the folder says is to be served. BundleError if one cannot be."""
        models = self.folder.models()
        if not models:
            raise BundleError(f"{self.folder.root}: holds no bundle (name/version/{MANIFEST})")
        for name, versions in models.items():
            self.catalog.aliases[name] = aliases = self.folder.aliases(name, versions)
            for folder in self.folder.chosen(versions, aliases).values():
                self.put(self._loader.now(folder))

    def put(self, loaded: Loaded) -> None:
        """From now on requests find it."""
        before = self.catalog.versions(loaded.bundle.manifest.name)
        again = loaded.bundle.manifest.version in before or self._is_leaving(loaded.bundle.manifest)
        self._loads += again
        served = Served(loaded.session, self._loads if again else 0, loaded.usual)
        self._engine.add(served.id, loaded.session, loaded.proof, loaded.costs)
        if replaced := self.catalog.add(served):
            self._retire(replaced)

    async def prepare(self, change: str, name: str, version: str | None = None) -> None:
        """Load what the folder has new of a model, or just one version of it.

        Raises UnknownModel where nothing of that name lies there, Conflict while another change is
        under way, BadBundle where one cannot be loaded.
        """
        if self._change:
            raise Conflict(f"model {self._change.name!r} is being loaded; try again after that")
        self._change = Change(change, name)
        try:
            self._change = await self._prepared(change, name, version)
        except StartupError as error:
            self._change = None
            raise BadBundle(self.folder.hidden(str(error))) from error
        except BaseException:
            self._change = None
            raise

    async def _prepared(self, change: str, name: str, version: str | None) -> Change:
        versions = self.folder.models().get(name)
        if not versions:
            raise UnknownModel(f"no model {quoted(name)} lies in the repository")
        aliases = self.folder.aliases(name, versions)
        wanted, served = self.folder.chosen(versions, aliases), self.catalog.versions(name)
        if version is not None:
            if version not in versions:
                raise UnknownModel(f"no version {quoted(version, 20)} of {name!r} lies there")
            wanted = {version: versions[version]}
        fresh = [await self._loaded(folder) for folder in self._changed(wanted)]
        gone = [own for number, own in served.items() if number not in wanted]
        return Change(change, name, aliases, fresh, [] if version else gone)

    def _changed(self, wanted: Versions) -> list[Path]:
        """Those that are not served as they lie there."""
        found = []
        for version, folder in wanted.items():
            served = self.catalog.versions(folder.parent.name).get(version)
            if not served or served.manifest.digest != read_manifest(folder).digest:
                found.append(folder)
        return found

    async def _loaded(self, folder: Path) -> Loaded:
        key = folder.parent.name, folder.name
        self.loading.add(key)
        self.failed.pop(key, None)
        try:
            return await self._loader.meanwhile(folder)
        except StartupError as error:
            self.failed[key] = self.folder.hidden(str(error))
            log.error("cannot load %s/%s: %s", *key, error)
            raise
        finally:
            self.loading.discard(key)

    def commit(self, change_id: str) -> None:
        """Do what was prepared."""
        change = self._change
        assert change, "nothing was prepared"
        assert change.id == change_id, "something else was prepared"
        self._change = None
        for loaded in change.fresh:
            self.put(loaded)
        for served in change.gone:
            self._unload(served)
        self.catalog.aliases[change.name] = change.aliases

    def abandon(self, change_id: str) -> None:
        """Do not, if it was prepared and has not been done."""
        if self._change and self._change.id == change_id:
            self._change = None

    def unload(self, name: str, versions: Iterable[str]) -> None:
        """These versions, if they are served, take no more requests."""
        served = self.catalog.versions(name)
        for own in [served[version] for version in versions if version in served]:
            self._unload(own)

    async def become(self, wanted: set[tuple[str, str]]) -> None:
        """Serve just these versions, as far as they can be loaded."""
        models = self.folder.models()
        for own in [*self.catalog]:
            if (own.manifest.name, own.manifest.version) not in wanted:
                self.unload(own.manifest.name, [own.manifest.version])
        for name, version in wanted:
            if version not in self.catalog.versions(name) and version in models.get(name, {}):
                self.put(await self._loaded(models[name][version]))

    def close(self) -> None:
        """Wait for nothing more."""
        for task in self._tasks:
            task.cancel()

    def _is_leaving(self, own: Manifest) -> bool:
        every = (served.manifest for served in self.leaving)
        return any((one.name, one.version) == (own.name, own.version) for one in every)

    def _unload(self, served: Served) -> None:
        """Unless it was while a change was prepared."""
        if served in self.catalog:
            self.catalog.remove(served)
            self._retire(served)

    def _retire(self, served: Served) -> None:
        self.leaving.add(served)
        task = asyncio.get_running_loop().create_task(self._let_go(served))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _let_go(self, served: Served) -> None:
        await served.unused()
        await self._engine.remove(served.id)
        self.leaving.discard(served)
        log.info("unloaded %s", served.id)
        gc.unfreeze()  # what was there at the start, and is in cycles, is to go as well
        gc.collect()
        gc.freeze()
