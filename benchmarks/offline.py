"""Packed sessions against padding and against one at a time, on the three mixes; no HTTP.

    python -m benchmarks.offline [--rounds 9]

Every contender answers the same 2,048 sequences of the reference model with the same weights,
session options and threads; answers are compared before anything is timed.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.baselines import (
    open_one_at_a_time,
    open_padded,
    run_one_at_a_time,
    run_padded,
)
from benchmarks.mixes import mixes
from benchmarks.reference import BUNDLES, checkpoint
from benchmarks.timing import Timing, alternate, ratio
from service.bundle import Bundle
from service.engine.job import Job
from service.engine.scheduler import Scheduler
from service.graph import Options
from service.pack import Array, Pack
from service.runtime import Threads, onnxruntime
from service.session import Session
from service.settings import Settings

RESULT = Path("benchmarks/results/offline.json")
Group = list[Array]
Answer = Callable[[Sequence[Group]], list[Array]]


def packed(session: Session, step_tokens: int, groups: Sequence[Group]) -> list[Array]:
    """Steps as the engine forms them: whole sequences up to the token budget."""
    scheduler = Scheduler(step_tokens, long_tokens=step_tokens)
    sequences = [s for group in groups for s in group]
    job = Job("reference", [len(s) for s in sequences])
    scheduler.add(job)
    found: list[Array] = []
    while step := scheduler.next_step():
        for part in step.parts:
            pack = Pack.of("x", sequences[part.first : part.last])
            found += pack.split(session.run(pack)["y"])
    return found


def by_group(
    run: Callable[[Any, Group], list[Array]],
    session: Any,
    groups: Sequence[Group],
) -> list[Array]:
    """A baseline, one group of 32 after the other."""
    return [answer for group in groups for answer in run(session, group)]


def contenders() -> dict[str, Answer]:
    """Name -> how it answers all groups of a mix."""
    model = checkpoint("reference").model
    session = Session(Bundle.open(BUNDLES / "reference" / "1"), Options())
    step = Settings().step_tokens
    found: dict[str, Answer] = {"packed": partial(packed, session, step)}
    for deferred in (False, True):
        suffix = ", phi deferred" if deferred else ""
        padded = open_padded(model, deferred)
        single = open_one_at_a_time(model, deferred)
        found[f"padded{suffix}"] = partial(by_group, run_padded, padded)
        found[f"one at a time{suffix}"] = partial(by_group, run_one_at_a_time, single)
    return found


def draw(lengths: Array) -> list[Group]:
    """Random sequences of these lengths, in groups."""
    rng = np.random.default_rng(1)
    return [[rng.normal(size=(n, 8)).astype(np.float32) for n in group] for group in lengths]


def check(answers: dict[str, Answer], groups: list[Group]) -> float:
    """The largest difference between the contenders on a few groups, relative to the answers."""
    found = {name: run(groups[:2]) for name, run in answers.items()}
    wanted = found.pop("packed")
    worst = max(
        float(np.abs(a - b).max() / (1 + np.abs(b).max()))
        for other in found.values()
        for a, b in zip(other, wanted, strict=True)
    )
    assert worst < 1e-4, f"contenders disagree by {worst}"
    return worst


def row(timings: dict[str, Timing], tokens: int) -> dict[str, object]:
    """One mix of the result."""
    ours = timings["packed"]
    return {
        "tokens": tokens,
        "packed_million_tokens_per_second": round(tokens / ours.median / 1e6, 3),
        "median_seconds": {name: round(t.median, 3) for name, t in timings.items()},
        "packed_times_faster_than": {n: ratio(t, ours) for n, t in timings.items() if t != ours},
    }


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    answers = contenders()
    result: dict[str, object] = {
        "threads": Threads.start(),
        "onnxruntime": onnxruntime().__version__,
    }
    for name, lengths in mixes().items():
        groups = draw(lengths)
        error = check(answers, groups)
        runs = {key: partial(run, groups) for key, run in answers.items()}
        timings = alternate(runs, args.rounds, name)
        result[name] = {"largest_difference": error, **row(timings, int(lengths.sum()))}
        print(name, json.dumps(result[name], indent=2))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
