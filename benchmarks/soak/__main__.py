"""A server at 80 % of what it can do, for long; then the same with a leak planted, to be found.

python -m benchmarks.soak [--minutes 30] [--control-minutes 5]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.summary import machine
from benchmarks.process import ServerProcess
from benchmarks.reference import BUNDLES
from benchmarks.soak.load import LEAVE, WRONG, Load
from benchmarks.soak.questions import invalid, valid
from benchmarks.soak.vitals import MOST_GROWTH, Vitals, growth, thinned, watch
from service.cpus import available_cpus

RESULT = Path("benchmarks/results/soak.json")
SHARE, REST_SECONDS = 0.8, 6.0
PEAK_SECONDS = 90.0  # in the first twenty more are answered than can be in the long run


class Leaking(ServerProcess):
    """The control."""

    def __init__(self, models: Path, **settings: object) -> None:
        super().__init__(models, **settings)
        self._command = [sys.executable, "-m", "benchmarks.soak.leaking", *self._command[1:]]


async def soak(server: ServerProcess, minutes: float, seed: int) -> dict[str, Any]:
    """Load one server and say what was seen."""
    load, samples = Load(server.port, valid(seed), invalid(), seed), list[Vitals]()
    peak = await load.peak(PEAK_SECONDS)
    watching = asyncio.create_task(watch(server.process.pid, server.url, samples))
    await load.run(SHARE * peak, minutes * 60)
    loaded = len(samples)
    await asyncio.sleep(REST_SECONDS)
    watching.cancel()
    if not watching.cancelled() and watching.done():
        watching.result()  # it ends by itself only when something is wrong
    tally, last = load.tally, samples[-1]
    return {
        "minutes": minutes,
        "peak_requests_per_second": round(peak, 1),
        "requests": sum(tally.statuses.values()),
        "statuses": dict(sorted(tally.statuses.items())),
        "answered_wrongly": tally.wrong[:10],
        "p50_ms": round(1e3 * float(np.median(tally.latencies)), 2),
        "p99_ms": round(1e3 * float(np.percentile(tally.latencies, 99)), 2),
        "growth": round(growth(samples[:loaded]), 4),
        "left_waiting": [last.requests, last.tokens],
        "vitals": thinned(samples),
    }


def verdicts(found: dict[str, Any], control: dict[str, Any]) -> dict[str, bool]:
    """What must hold."""
    return {
        "no growth": found["growth"] <= MOST_GROWTH,
        "the control's leak is found": control["growth"] > MOST_GROWTH,
        "no 5xx": not any(status.startswith("5") for status in found["statuses"]),
        "no stuck request": "stuck" not in found["statuses"] and found["left_waiting"] == [0, 0],
        "every answer right, to the last bit": not found["answered_wrongly"],
    }


def page(result: dict[str, Any]) -> str:
    """For people."""
    lines = ["# Soak", "", f"{result['machine']}", ""]
    lines += [
        f"Lognormal lengths and a few of {20_000:,} to {60_000:,} tokens, on three wires, at "
        f"{SHARE:.0%} of the peak, Poisson; {LEAVE:.0%} of clients leave, {WRONG:.0%} ask what is "
        "wrong. Growth is of resident memory, fitted, after a fifth of the time.",
        "",
        "| run | minutes | requests | statuses | p50, p99 ms | growth |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name in "server", "control":
        run = result[name]
        statuses = ", ".join(f"{count:,} {status}" for status, count in run["statuses"].items())
        lines.append(
            f"| {name} | {run['minutes']:g} | {run['requests']:,} | {statuses} | "
            f"{run['p50_ms']}, {run['p99_ms']} | {run['growth']:.1%} |"
        )
    lines += ["", *(f"- {what}: {'yes' if so else 'NO'}" for what, so in result["holds"].items())]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run both, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--control-minutes", type=float, default=5)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    result: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(BUNDLES / "reference", Path(folder) / "reference")
        server = ServerProcess(Path(folder), workers=available_cpus(), grace_seconds=0)
        control = Leaking(Path(folder), grace_seconds=0)  # planted in one process
        runs = (("server", server, args.minutes), ("control", control, args.control_minutes))
        for name, process, minutes in runs:
            with process as server:
                result[name] = asyncio.run(soak(server, minutes, seed=1))
    result["holds"] = verdicts(result["server"], result["control"])
    args.out.write_text(json.dumps(result, indent=2) + "\n")
    args.out.with_suffix(".md").write_text(page(result))
    print(page(result))
    sys.exit(0 if all(result["holds"].values()) else 1)


if __name__ == "__main__":
    main()
