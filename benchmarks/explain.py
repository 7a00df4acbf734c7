"""What every token changes, against one prediction of the same sequences; no HTTP.

    python -m benchmarks.reference && python -m benchmarks.explain [--rounds 9]

Requests are the groups of 32 of the three mixes, one after the other through the server's engine,
with the settings that it has by itself. On 32 sequences the other way is measured too: every
sequence run again without each of its tokens.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.mixes import mixes
from benchmarks.peers.summary import machine
from benchmarks.reference import BUNDLES
from benchmarks.timing import Timing, alternate
from service.application import Service
from service.catalog import Served
from service.explain.found import Found
from service.explain.pooled import Pooled
from service.explain.reruns import Reruns
from service.explain.subject import explained
from service.pack import Pack
from service.runtime import Threads
from service.server import load
from service.settings import Settings

RESULT = Path("benchmarks/results/explain.json")
MODEL, SECONDS = "reference-pooled", 600.0


async def predict(service: Service, served: Served, packs: list[Pack]) -> None:
    """All requests as predictions."""
    for pack in packs:
        await service.engine.predict(served.id, pack)


async def explain(service: Service, served: Served, packs: list[Pack]) -> list[Found]:
    """All requests by their sums."""
    outputs, found = explained(served.manifest), []
    for pack in packs:
        pooled = Pooled.of(service.engine, service.settings, served, outputs, pack)
        assert pooled is not None
        found.append(await pooled.run("", SECONDS))
    return found


async def rerun(service: Service, served: Served, packs: list[Pack]) -> list[Found]:
    """All requests by runs without each token."""
    outputs = explained(served.manifest)
    ways = [Reruns(service.engine, served.id, outputs, pack) for pack in packs]
    return [await way.run("", SECONDS) for way in ways]


def draw(lengths: np.ndarray) -> list[Pack]:
    """A pack of each row of lengths."""
    rng = np.random.default_rng(1)
    return [Pack({"x": rng.normal(size=(n.sum(), 8)).astype(np.float32)}, n) for n in lengths]


def difference(one: list[Found], other: list[Found]) -> float:
    """The largest of outputs without a token, over the largest of those."""
    pairs = zip(one, other, strict=True)
    return max(
        float(np.abs(a.without["y"] - b.without["y"]).max() / np.abs(b.without["y"]).max())
        for a, b in pairs
    )


def compare(ways: dict[str, Callable[[], object]], tokens: int, rounds: int, label: str) -> Any:
    """Each way's time per token, and how many times the first's that is; and so the CPUs' time,
    which what else runs on the machine changes less.
    """
    spent: dict[str, list[float]] = {name: [] for name in ways}

    def counted(name: str) -> None:
        began = time.process_time()
        ways[name]()
        spent[name].append(time.process_time() - began)

    found = alternate({name: partial(counted, name) for name in ways}, rounds, label)
    first, *others = ways
    cpus = {name: Timing(rounds_of[1:]) for name, rounds_of in spent.items()}  # but the warm-up
    return {
        "tokens": tokens,
        "microseconds_per_token": {k: round(1e6 * t.median / tokens, 3) for k, t in found.items()},
        "times_a_prediction": {name: times(found[name], found[first]) for name in others},
        "cpu_times_a_prediction": {name: times(cpus[name], cpus[first]) for name in others},
    }


def times(own: Timing, base: Timing) -> dict[str, float]:
    """The ratio of the medians, and the least and the most of the rounds' own."""
    ratios = [a / b for a, b in zip(own.rounds, base.rounds, strict=True)]
    found = {"of_medians": own.median / base.median, "least": min(ratios), "most": max(ratios)}
    return {name: round(value, 2) for name, value in found.items()}


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--bundles", type=Path, default=BUNDLES)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "load_before": round(os.getloadavg()[0], 2)}
    service = load(Settings(models=args.bundles))
    served = service.catalog.find(MODEL)
    result["threads"] = Threads.count
    with asyncio.Runner() as runner:

        def ways(packs: list[Pack], *chosen: Any) -> dict[str, Callable[[], object]]:
            def one(way: Any) -> Callable[[], object]:
                return lambda: runner.run(way(service, served, packs))

            return {way.__name__: one(way) for way in chosen}

        for name, lengths in mixes().items():
            packs = draw(lengths)
            result[name] = compare(
                ways(packs, predict, explain), int(lengths.sum()), args.rounds, name
            )
            print(name, json.dumps(result[name], indent=2))
        few = draw(mixes()["equal"][:1])
        every = ways(few, predict, explain, rerun)
        result["32 of 128"] = compare(every, few[0].tokens, args.rounds, "32 of 128")
        both = [runner.run(way(service, served, few)) for way in (explain, rerun)]
        result["32 of 128"]["largest_difference"] = difference(both[0], both[1])
        print("32 of 128", json.dumps(result["32 of 128"], indent=2))
        runner.run(service.engine.close())
    args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
