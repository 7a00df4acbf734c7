"""What observability costs: the same server with it and without, side by side, in turn.

    python -m benchmarks.reference && python -m benchmarks.observability

One worker, loaded by wrk with 32 connections. Ratios are of requests a second, round by round.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.online import closed
from benchmarks.online.cells import Cell
from benchmarks.online.contender import BINARY, JSON, Bodies, Contender
from benchmarks.online.load import Loader
from benchmarks.online.races import Found, figures, race
from benchmarks.online.traffic import LOGNORMAL, SHORT, Limit, traffics
from benchmarks.otlp import Receiver
from benchmarks.peers.summary import machine
from benchmarks.process import ServerProcess
from benchmarks.reference import BUNDLES

RESULT = Path("benchmarks/results/observability.json")
CELLS: Sequence[Cell] = ((SHORT, JSON), (LOGNORMAL, BINARY))
OFF, USUAL = "off", "metrics and logs"
LEAST = 0.95  # of the requests a second without, with metrics and logs
DRIFT_TOKENS, RATIO = 256, 0.1


class Unobserved(ServerProcess):
    """Without metrics and traces."""

    def __init__(self, models: Path, **settings: object) -> None:
        super().__init__(models, **settings)
        self._command[:2] = [sys.executable, "-m", "benchmarks.unobserved"]


@dataclass(frozen=True, slots=True)
class Mode(Contender):
    """Our server with these settings. observed: whether it counts and traces at all."""

    label: str = OFF
    observed: bool = True
    settings: tuple[tuple[str, object], ...] = ()

    @property
    def name(self) -> str:
        """What is on."""
        return self.label

    @contextmanager
    def server(self) -> Iterator[ServerProcess]:
        """While it runs."""
        kind = ServerProcess if self.observed else Unobserved
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(BUNDLES / "reference", Path(folder) / "reference")
            with kind(Path(folder), grace_seconds=0, **dict(self.settings)) as own:
                yield own


def modes(receiver: str) -> list[Mode]:
    """From nothing to everything. receiver: where traces go."""
    quiet, told = (("log_level", "warning"),), (("log_level", "info"),)
    drift = (*told, ("drift_tokens", DRIFT_TOKENS))
    traced = (*drift, ("otel_endpoint", receiver), ("otel_ratio", RATIO))
    return [
        Mode(label=OFF, observed=False, settings=quiet),
        Mode(label="metrics", settings=quiet),
        Mode(label=USUAL, settings=told),
        Mode(label="and drift", settings=drift),
        Mode(label=f"and traces of {RATIO:.0%}", settings=traced),
    ]


def arguments() -> argparse.Namespace:
    """All of them optional."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--seconds", type=int, default=4, help="of a closed loop")
    parser.add_argument("--rounds", type=int, default=9)
    return parser.parse_args()


def main() -> None:
    """Measure, print and write the results."""
    args = arguments()
    result: dict[str, Any] = {"machine": machine(), "load_before": round(os.getloadavg()[0], 2)}
    result |= {"wrk": closed.version(), "seconds": args.seconds, "rounds": args.rounds}
    limit, sent = Limit(), traffics()
    answers = {mix: limit.answers(sent[mix]) for mix, _ in CELLS}
    with tempfile.TemporaryDirectory() as folder, Receiver() as receiver:
        loader = Loader(sent, answers, Bodies(Path(folder)))
        for cell in CELLS:
            found = race(loader, cell, modes(receiver.url), args.rounds, args.seconds)
            result[", ".join(cell)] = summary(found)
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    args.out.with_suffix(".md").write_text(page(result))
    print(page(result))


def summary(found: Found) -> dict[str, Any]:
    """Of each mode: requests a second, and what share that is of those without anything."""
    rates, spent = (figures(found, name) for name in ("requests_per_second", "cpu_ms_per_request"))
    return {
        mode: {
            "requests_per_second": round(statistics.median(own), 1),
            "of_off": _ratio(own, rates[OFF]),
            "cpu_of_off": _ratio(spent[mode], spent[OFF]),
            "p99_ms": statistics.median(figures(found, "p99_ms")[mode]),
            "rounds": own,
        }
        for mode, own in rates.items()
    }


def _ratio(own: Sequence[float], off: Sequence[float]) -> dict[str, float]:
    """Round by round: the median one, the least and the most."""
    ratios = [a / b for a, b in zip(own, off, strict=True)]
    found = {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}
    return {name: round(value, 3) for name, value in found.items()}


HOW = """\
The reference model, one worker, 32 connections of wrk. The modes take turns, in another order every
round; ratios are of one round's, the median, and from the least to the most. "Off" is the same
server with whatever counts and traces replaced by nothing (`benchmarks.unobserved`), and log lines
from warning up. Processor time is the server's per request. Traces go to a receiver on the same
machine, which takes processor time too."""
HEAD = "| on | requests/s | of off | | processor time of off | p99 |"


def page(result: Mapping[str, Any]) -> str:
    """For people."""
    own = result["machine"]
    about = f"{own['date']}, commit {own['commit']}; {own['cpu']}, {own['cpus']} CPUs, load "
    about += f"{result['load_before']} before. {result['rounds']} rounds of {result['seconds']} s."
    parts = ["# What observability costs", about, HOW]
    for cell in (", ".join(own) for own in CELLS):
        rows = [HEAD, "| --- " * 6 + "|", *(_row(*of) for of in result[cell].items())]
        share = result[cell][USUAL]["of_off"]["median"]
        verdict = "Met" if share >= LEAST else "Missed"
        wanted = f"Wanted with {USUAL}: {LEAST} of off. Measured: {share:.3f}. **{verdict}.**"
        parts += [f"## {cell}", "\n".join(rows), wanted]
    return "\n\n".join(parts) + "\n"


def _row(mode: str, own: Mapping[str, Any]) -> str:
    of, spent = own["of_off"], own["cpu_of_off"]
    spread = f"{of['least']:.2f} to {of['most']:.2f}"
    cells = [mode, f"{own['requests_per_second']:,.0f}", f"{of['median']:.3f}", spread]
    return f"| {' | '.join(cells)} | {spent['median']:.3f} | {own['p99_ms']:.1f} ms |"


if __name__ == "__main__":
    main()
