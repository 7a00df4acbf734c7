"""Several workers on one loop, with a folder of bundles between them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from service.repository.control import Control
from service.siblings import Siblings, meeting_place
from tests.service.repository.folders import serving, versions

COUNT = 3


class Worker:
    """What a process has of it."""

    def __init__(self, root: Path, siblings: Siblings) -> None:
        self.siblings, self.service = siblings, serving(root)
        self.control = Control(self.service.repository, siblings)

    @property
    def versions(self) -> list[str]:
        """Of the one model there is."""
        return versions(self.service, "plain")

    @property
    def prepared(self) -> bool:
        """Whether it has a change that is ready to be done."""
        change = self.service.repository._change
        return bool(change and change.fresh)


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
