"""What a server's processes hold, sampled while it works; and whether that grows."""

from __future__ import annotations

import asyncio
import re
from dataclasses import asdict, dataclass

import httpx
import numpy as np

from benchmarks.tree import held, resident_bytes

EVERY = 5.0  # seconds
WARM = 0.2  # of the time, which does not count
MOST_GROWTH = 0.03  # of memory, from one end of what counts to the other, along the fitted line


@dataclass(frozen=True, slots=True)
class Vitals:
    """At a time in seconds: MiB resident, open files, threads, requests and tokens waiting."""

    at: float
    resident: float
    files: int
    threads: int
    requests: float
    tokens: float


async def watch(pid: int, url: str, into: list[Vitals]) -> None:
    """Sample until cancelled."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with httpx.AsyncClient(timeout=30) as client:
        while True:
            page = (await client.get(f"{url}/metrics")).text
            into.append(sample(pid, page, loop.time() - started))
            await asyncio.sleep(EVERY)


def sample(pid: int, page: str, at: float) -> Vitals:
    """What Linux and the server itself say."""
    files, threads = held(pid)
    requests, tokens = (
        sum(map(float, re.findall(rf"\nsumserve_{name}(?:{{\S*}})? (\S+)", page)))
        for name in ("open_requests", "queued_tokens")
    )
    return Vitals(
        round(at, 1), round(resident_bytes(pid) / 2**20, 2), files, threads, requests, tokens
    )


def growth(samples: list[Vitals]) -> float:
    """By how much of itself memory grows from the end of the warm-up to the end."""
    counted = samples[int(len(samples) * WARM) :]
    at = np.array([one.at for one in counted])
    slope, start = np.polyfit(at, [one.resident for one in counted], 1)
    return float(slope * (at[-1] - at[0]) / (start + slope * at[0]))


def thinned(samples: list[Vitals], most: int = 60) -> list[dict[str, float]]:
    """Enough of them to see the course."""
    step = max(1, len(samples) // most)
    return [asdict(one) for one in samples[::step]]
