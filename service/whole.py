"""The server as a whole: what its workers, or its only one, say together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from service.application import Service
from service.errors import NotServing
from service.manifest import Manifest
from service.metrics import one_page
from service.readiness import STARTING
from service.siblings import GONE, Siblings
from service.statistics import summed


class Whole:
    """This worker and its siblings; it answers them what it asks of them."""

    def __init__(self, service: Service, siblings: Siblings) -> None:
        self._service, self._siblings = service, siblings
        self._met: set[int] = set()  # workers that have been there
        siblings.answer("metrics", self._page)
        siblings.answer("statistics", self._statistics)
        siblings.answer("readiness", self._reason)

    async def page(self) -> str:
        """Metrics in Prometheus' text format, with the worker of each where there are several."""
        own = await self._page()
        if not self._siblings.any:
            return own
        pages = await self._siblings.ask("metrics") | {self._siblings.index: own}
        return one_page({worker: _said(page) for worker, page in sorted(pages.items())})

    async def statistics(self, models: Iterable[Manifest]) -> list[Any]:
        """Of these models, all workers together. NotServing where one does not answer."""
        names = [f"{own.name}/{own.version}" for own in models]
        others = await self._siblings.ask("statistics")
        for worker, answer in others.items():
            if _said(answer) is None:
                raise NotServing(f"worker {worker} does not answer, whose counts belong to the sum")
        everyone = [await self._statistics(), *others.values()]
        counted = [[of[name] for of in everyone if name in of] for name in names]
        return [summed(own) for own in counted if own]  # some may have gone meanwhile

    async def reason(self) -> str:
        """Why the server is not ready, if so. It is when each of its workers is, but for those that
        are being started again: nobody is sent to them.
        """
        own = await self._reason()
        if not self._siblings.any:
            return own
        # Who is not ready itself need not ask; while they drain, others may have gone.
        reasons = {self._siblings.index: own} if own else await self._siblings.ask("readiness")
        self._met |= {worker for worker, why in reasons.items() if why not in (GONE, STARTING)}
        troubles = [_trouble(i, why) for i, why in reasons.items() if not self._fine(i, why)]
        return f"not ready: {'; '.join(troubles)}" if troubles else ""

    def _fine(self, worker: int, why: Any) -> bool:
        return why == "" or (why in (GONE, STARTING) and worker in self._met)

    async def _page(self) -> str:
        return self._service.metrics.page().decode()

    async def _statistics(self) -> dict[str, Any]:
        names = [(m.manifest.name, m.manifest.version) for m in self._service.catalog]
        return {"/".join(own): self._service.statistics.of(*own) for own in names}

    async def _reason(self) -> str:
        return self._service.readiness.reason()


def _said(answer: Any) -> Any:
    return None if answer is GONE else answer


def _trouble(worker: int, why: Any) -> str:
    if why is GONE:
        return f"worker {worker} is starting"
    return f"worker {worker} does not answer" if why is None else f"worker {worker}: {why}"
