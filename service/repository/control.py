"""Changes what is served: in every worker of a server, or in none."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any

from service.errors import BadBundle, Conflict, NotServing, ServiceError, UnknownModel
from service.repository.repository import Repository
from service.siblings import GONE, SECONDS, Answer, Siblings

LOAD_SECONDS = 600.0  # that a worker may take to open, verify and warm up what is new of a model
ERRORS = {error.status: error for error in (UnknownModel, Conflict, BadBundle)}

Trouble = list[Any]  # a status and a message; empty if there is none


class Control:
    """Of one worker, and through it of its siblings. Lives on the event loop."""

    def __init__(self, repository: Repository, siblings: Siblings) -> None:
        self._repository, self._siblings = repository, siblings
        self._answers: dict[str, Answer] = {
            "prepare": self._prepare,
            "decide": self._decide,
            "unload": self._unload,
            "served": self._served,
        }
        for question, answer in self._answers.items():
            siblings.answer(question, answer)

    async def load(self, name: str, version: str | None = None) -> None:
        """Serve a model as it lies in the folder, or one version of it besides what is served.

        Until all workers have what is new nothing changes, nor if one of them cannot have it.
        Raises what `Repository.prepare` raises, and NotServing where a worker does not answer.
        """
        change, commit = uuid.uuid4().hex, False
        try:
            prepared = await self._all(
                "prepare", LOAD_SECONDS, change=change, name=name, version=version
            )
            self._check(prepared)
            commit = True
        finally:
            await self._all("decide", change=change, commit=commit)

    async def unload(self, name: str, version: str | None = None) -> None:
        """A model, or one version of it, takes no more requests. UnknownModel if none does so."""
        catalog = self._repository.catalog
        found = catalog.find(name, version)  # the default, where none is named
        versions = [found.manifest.version] if version else [*catalog.versions(name)]
        await self._all("unload", name=name, versions=versions)

    async def join(self) -> None:
        """Serve what other workers do: this one may be there in the place of one that has died."""
        answers = await self._siblings.ask("served")
        served = [answer for answer in answers.values() if answer not in (None, GONE)]
        if served:
            await self._repository.become({(name, version) for name, version in served[0]})

    async def _all(self, question: str, seconds: float = SECONDS, **about: Any) -> dict[int, Any]:
        """What each worker says, this one among them."""
        mine, theirs = await asyncio.gather(
            self._answers[question](**about), self._siblings.ask(question, seconds, **about)
        )
        return {self._siblings.index: mine, **theirs}

    def _check(self, prepared: Mapping[int, Trouble | object | None]) -> None:
        """Raises the first worker's trouble; one that has ended will do as the others do."""
        for worker, trouble in sorted(prepared.items()):
            if trouble is None:
                raise NotServing(f"worker {worker} does not answer; nothing was changed")
            if isinstance(trouble, list) and trouble:
                status, message = trouble
                raise ERRORS[status](message)

    async def _prepare(self, change: str, name: str, version: str | None) -> Trouble:
        try:
            await self._repository.prepare(change, name, version)
        except ServiceError as error:
            return [error.status, str(error)]
        # Whoever asked may have died meanwhile.
        wait = 2 * LOAD_SECONDS
        asyncio.get_running_loop().call_later(wait, self._repository.abandon, change)
        return []

    async def _decide(self, change: str, commit: bool) -> None:
        if commit:
            self._repository.commit(change)
        else:
            self._repository.abandon(change)

    async def _unload(self, name: str, versions: list[str]) -> None:
        self._repository.unload(name, versions)

    async def _served(self) -> list[tuple[str, str]]:
        return [(own.manifest.name, own.manifest.version) for own in self._repository.catalog]
