"""Something done to replicas in the middle of a load."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence

from tests.deploy.faults.clients import CLIENTS, Question, Tally, ask

COUNT = int(os.environ.get("FAULT_REQUESTS", "400"))  # make test-deploy asks for 5,000


def harmed(
    port: int, asked: Sequence[Question], fault: Callable[[], object], clients: int = CLIENTS
) -> Tally:
    """What comes of requests before, during and after a fault, COUNT of them or more."""

    async def run() -> Tally:
        begun, over = asyncio.Event(), asyncio.Event()

        def stay(tally: Tally) -> bool:
            if tally.asked >= COUNT // 4:
                begun.set()
            return not over.is_set() or tally.asked < COUNT

        async def harm() -> None:
            try:
                await begun.wait()
                await asyncio.to_thread(fault)
            finally:
                over.set()

        tally, _ = await asyncio.gather(ask(port, asked, stay, clients=clients), harm())
        return tally

    return asyncio.run(asyncio.wait_for(run(), 900))
