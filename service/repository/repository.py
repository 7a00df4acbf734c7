"""What of the folder is served, and how that changes while requests go on.

A change is prepared first: bundles are opened, verified and warmed up, in a thread, and nobody
notices. To commit it takes no time. What is replaced takes no more requests and goes when those it
has are done.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

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
        self.opened = folder.stamps()  # what lies there before any of it is opened
        self.leaving: set[Served] = set()
        self._change: Change | None = None
        self._loads = 0  # of versions that had been there before
        self._tasks: set[asyncio.Task[None]] = set()
        self._becoming = asyncio.Lock()
        self.settled = False  # whether what it serves is what it is to serve

    def open(self) -> None:
        """At the start: all that the folder says is to be served. BundleError if one cannot be."""
        models = self.folder.models()
        if not models:
            raise BundleError(f"{self.folder.root}: holds no bundle (name/version/{MANIFEST})")
        for name, versions in models.items():
            self.catalog.aliases[name] = aliases = self.folder.aliases(name, versions)
            for folder in self.folder.chosen(versions, aliases).values():
                self.put(self._loader.now(folder))
        self.settled = True

    def put(self, loaded: Loaded) -> None:
        """From now on requests find it."""
        before = self.catalog.versions(loaded.bundle.manifest.name)
        again = loaded.bundle.manifest.version in before or self._is_leaving(loaded.bundle.manifest)
        self._loads += again
        served = Served(loaded.session, self._loads if again else 0, loaded.usual)
        self._engine.add(served.id, loaded.session, loaded.proof, loaded.costs)
        if replaced := self.catalog.add(served):
            self._retire(replaced)

    async def prepare(self, change: str, name: str, version: str | None = None) -> Change:
        """Load what the folder has new of a model, or just one version of it.

        Raises UnknownModel where nothing of that name lies there, Conflict while another change is
        under way or where this one is given up meanwhile, BadBundle where one cannot be loaded.
        """
        if self._change:
            raise Conflict(f"model {self._change.name!r} is being loaded; try again after that")
        self._change = begun = Change(change, name)
        try:
            prepared = await self._prepared(change, name, version)
        except StartupError as error:
            self.abandon(change)
            raise BadBundle(self.folder.hidden(str(error))) from error
        except BaseException:
            self.abandon(change)
            raise
        if self._change is not begun:
            raise Conflict(f"the load of model {name!r} was given up")
        self._change = prepared
        return prepared

    async def _prepared(self, change: str, name: str, version: str | None) -> Change:
        versions = self.folder.versions(name)
        if not versions:
            raise UnknownModel(f"no model {quoted(name)} lies in the repository")
        aliases = self.folder.aliases(name, versions)
        if version is not None:
            return await self._one(change, name, version, versions, aliases)
        wanted, served = self.folder.chosen(versions, aliases), self.catalog.versions(name)
        fresh = [await self._loaded(folder) for folder in self._changed(wanted)]
        gone = [own for number, own in served.items() if number not in wanted]
        return Change(change, name, aliases, fresh, gone)

    async def _one(
        self, change: str, name: str, version: str, versions: Versions, lying: Mapping[str, str]
    ) -> Change:
        """A version besides what is served. Aliases of what is not served stay what they were."""
        if version not in versions:
            raise UnknownModel(f"no version {quoted(version, 20)} of {name!r} lies there")
        fresh = [await self._loaded(own) for own in self._changed({version: versions[version]})]
        known = {version, *self.catalog.versions(name)}
        new = {alias: number for alias, number in lying.items() if number in known}
        return Change(change, name, {**self.catalog.aliases.get(name, {}), **new}, fresh)

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

    def commit(self, change_id: str) -> bool:
        """Do what was prepared; False where it was not."""
        change = self._change
        if change is None or change.id != change_id:
            return False
        self._change = None
        for loaded in change.fresh:
            self.put(loaded)
        for served in change.gone:
            self._unload(served)
        self.catalog.aliases[change.name] = change.aliases
        return True

    def abandon(self, change_id: str) -> None:
        """Do not, if it is prepared or about to be, and has not been done."""
        if self._change and self._change.id == change_id:
            self._change = None

    def unload(self, name: str, versions: Iterable[str]) -> None:
        """These versions, if they are served, take no more requests."""
        served = self.catalog.versions(name)
        for own in [served[version] for version in versions if version in served]:
            self._unload(own)

    @property
    def serving(self) -> dict[str, Any]:
        """What takes requests, for another worker to `become`: versions by digest, and aliases."""
        versions = [[m.name, m.version, m.digest] for m in (own.manifest for own in self.catalog)]
        return {"versions": versions, "aliases": self.catalog.aliases}

    async def become(self, serving: Mapping[str, Any]) -> None:
        """Serve what another worker does, as far as it can be loaded; what cannot is logged."""
        async with self._becoming:
            wanted = {(name, version, digest) for name, version, digest in serving["versions"]}
            for own in [*self.catalog]:
                if (own.manifest.name, own.manifest.version, own.manifest.digest) not in wanted:
                    self._unload(own)
            for name, version, digest in sorted(wanted):
                if version not in self.catalog.versions(name):
                    await self._follow(name, version, digest)
            self.catalog.aliases = dict(serving["aliases"])

    async def _follow(self, name: str, version: str, digest: str) -> None:
        try:
            folder = self.folder.version(name, version)
            if folder is None or read_manifest(folder).digest != digest:
                raise BundleError(f"{name}/{version}: what other workers serve lies there no more")
            self.put(await self._loaded(folder))
        except StartupError as error:
            log.error("this worker does without %s/%s: %s", name, version, error)

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
