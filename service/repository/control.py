"""Changes what is served: in every worker of a server, or in none."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Mapping
from typing import Any

from service.errors import BadBundle, Conflict, NotServing, ServiceError, UnknownModel
from service.repository.repository import Repository
from service.siblings import GONE, SECONDS, Answer, Siblings

JOIN_SECONDS = 30.0  # for others to say what they serve: who is merely busy is waited for
LOAD_SECONDS = 600.0  # that a worker may take to open, verify and warm up what is new of a model
ERRORS = {error.status: error for error in (UnknownModel, Conflict, BadBundle)}
FINE = 200
TRIES = 5  # to serve what others do, while that changes

Trouble = list[Any]  # a status and a message; or FINE and what was found

log = logging.getLogger("sumserve.repository")


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
        Raises what `Repository.prepare` raises, Conflict where workers find different files, and
        NotServing where a worker does not answer.
        """
        change, commit = uuid.uuid4().hex, False
        try:
            prepared = await self._all(
                "prepare", LOAD_SECONDS, change=change, name=name, version=version
            )
            self._check(prepared)
            commit = True
        finally:
            await self._decide(change, commit, None)
            about = {"change": change, "commit": commit, "serving": self._repository.serving}
            decided = await self._siblings.ask("decide", LOAD_SECONDS, **about)
        if silent := [worker for worker, done in decided.items() if done is None]:
            raise NotServing(f"worker {silent[0]} does not say whether it has changed; others have")

    async def unload(self, name: str, version: str | None = None) -> None:
        """A model, or one version of it, takes no more requests. UnknownModel if none does so."""
        catalog = self._repository.catalog
        found = catalog.find(name, version)  # the default, where none is named
        versions = [found.manifest.version] if version else [*catalog.versions(name)]
        await self._all("unload", name=name, versions=versions)

    async def join(self) -> None:
        """Serve what other workers do: this one may be there in the place of one that has died.

        Looks again until it is so, as what they serve may change meanwhile.
        """
        serving = None
        for _ in range(TRIES):
            serving = await others(self._siblings)
            if serving is None or serving == self._repository.serving:
                break
            await self._repository.become(serving)
        if serving is None and not self._repository.serving["versions"]:
            self._repository.open()  # whoever served when this worker began has ended since
        self._repository.settled = True

    async def _all(self, question: str, seconds: float = SECONDS, **about: Any) -> dict[int, Any]:
        """What each worker says, this one among them."""
        mine, theirs = await asyncio.gather(
            self._answers[question](**about), self._siblings.ask(question, seconds, **about)
        )
        return {self._siblings.index: mine, **theirs}

    def _check(self, prepared: Mapping[int, Trouble | object | None]) -> None:
        """Raises the first worker's trouble; one that has ended will do as the others do."""
        found = set()
        for worker, said in sorted(prepared.items()):
            if said is None:
                raise NotServing(f"worker {worker} does not answer; nothing was changed")
            if isinstance(said, list):
                status, message = said
                if status != FINE:
                    raise ERRORS.get(status, ServiceError)(message)
                found.add(message)
        if len(found) > 1:
            raise Conflict("workers find different files of it; try again once all are there")

    async def _prepare(self, change: str, name: str, version: str | None) -> Trouble:
        try:
            prepared = await self._repository.prepare(change, name, version)
        except ServiceError as error:
            return [error.status, str(error)]
        except Exception:
            log.exception("%s cannot be loaded", name)
            return [ServiceError.status, "internal error; the server's log has it"]
        # Whoever asked may have died meanwhile.
        wait = 2 * LOAD_SECONDS
        asyncio.get_running_loop().call_later(wait, self._repository.abandon, change)
        return [FINE, " ".join(sorted(str(own.bundle.manifest.digest) for own in prepared.fresh))]

    async def _decide(self, change: str, commit: bool, serving: Any) -> bool:
        """serving: what whoever decides serves now; for a worker that was not there before."""
        if not commit:
            self._repository.abandon(change)
        elif not self._repository.commit(change) and serving:
            await self._repository.become(serving)
        return True

    async def _unload(self, name: str, versions: list[str]) -> None:
        self._repository.unload(name, versions)

    async def _served(self) -> Any:
        return self._repository.serving if self._repository.settled else None


async def others(siblings: Siblings) -> Any:
    """What another worker serves, if there is one that does."""
    answers = await siblings.ask("served", JOIN_SECONDS)
    return next((own for own in answers.values() if own and own is not GONE), None)
