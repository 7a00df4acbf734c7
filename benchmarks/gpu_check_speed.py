"""Throughput on a GPU: ours against torch with CUDA graphs and against padded batches.

All answer the lognormal mix from arrays on the CPU to arrays on the CPU. Step sizes are swept, for
ours and for torch, and each is measured at its best.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu_check_bundles import Cell, Row
from benchmarks.mixes import GROUP, mixes
from benchmarks.timing import Timing, alternate, ratio
from service.bundle import Bundle
from service.graph import Options, ResidentGraph, Value
from service.pack import Array, Pack
from service.session import Session

SIZES = (4_096, 16_384, 65_536, 131_072, 262_144, 524_288)  # tokens in a step, one slice each
ROUNDS = 9
OF_TORCH, OF_PADDED = 0.7, 6.0  # at least so many times as fast
NEAR = {"fp32": 1e-4, "fp16": 2e-2}  # how far answers may be apart, of their size
WEIGHTS = "reference.npz"
PADDED = {"fp32": "padded.onnx", "fp16": "padded.fp16.onnx"}
Answer = Callable[[], Array]


@dataclass(frozen=True)
class Folder:
    """Graphs that are in no bundle."""

    folder: Path

    def read(self, name: str) -> bytes:
        """The bytes of a file."""
        return (self.folder / name).read_bytes()


class Timed(ResidentGraph):
    """A graph that knows how long it has been running."""

    seconds = 0.0

    def run(self, feeds: Mapping[str, Value]) -> dict[str, Value]:
        """Run, and keep the time."""
        started = time.perf_counter()
        found = super().run(feeds)
        Timed.seconds += time.perf_counter() - started
        return found


@dataclass(frozen=True)
class Mix:
    """x (T, 8) of sequences of these lengths (N,)."""

    x: Array
    lengths: Array

    @classmethod
    def drawn(cls, lengths: Array) -> Mix:
        """Random tokens."""
        rng = np.random.default_rng(1)
        return cls(rng.normal(size=(int(lengths.sum()), 8)).astype(np.float32), lengths)

    def steps(self, most: int) -> Iterator[Mix]:
        """Whole sequences of up to ``most`` tokens, one at least."""
        ends, first = np.cumsum(self.lengths), 0
        while first < len(ends):
            begin = ends[first] - self.lengths[first]
            last = max(first + 1, int(np.searchsorted(ends, begin + most, side="right")))
            yield Mix(self.x[begin : ends[last - 1]], self.lengths[first:last])
            first = last

    @cached_property
    def sequences(self) -> list[Array]:
        """(n, 8) each."""
        return np.split(self.x, np.cumsum(self.lengths)[:-1])


def packed(session: Session, mix: Mix, size: int) -> Array:
    """Ours, in steps of a size that are a slice each."""
    steps = mix.steps(size)
    return np.concatenate(
        [session.run(Pack({"x": s.x}, s.lengths), max(size, len(s.x)))["y"] for s in steps]
    )


def padded(graph: ResidentGraph, mix: Mix) -> Array:
    """Batches of 32 in the order they come, padded to their longest."""
    found = []
    for first in range(0, len(mix.lengths), GROUP):
        group = mix.sequences[first : first + GROUP]
        x = np.zeros((len(group), max(map(len, group)), 8), np.float32)
        mask = np.zeros((*x.shape[:2], 1), np.float32)
        for i, sequence in enumerate(group):
            x[i, : len(sequence)], mask[i, : len(sequence)] = sequence, 1
        rows = graph.run({"hidden": x, "mask": mask})["y"]
        found += [own[: len(s)] for own, s in zip(rows, group, strict=True)]
    return np.concatenate(found)


def in_torch(folder: Path, mix: Mix, size: int, variant: str) -> Answer:
    """torch with a CUDA graph for steps of a size."""
    import torch

    from benchmarks.gpu_check_torch import Captured, Weights

    dtype = torch.float16 if variant == "fp16" else torch.float32
    torch.backends.cuda.matmul.allow_tf32 = False
    steps = list(mix.steps(size))
    with np.load(folder / WEIGHTS) as arrays:
        weights = Weights(arrays, "cuda", dtype)
    tokens, sequences = max(len(s.x) for s in steps), max(len(s.lengths) for s in steps)
    captured = Captured(weights, tokens, sequences)
    return lambda: np.concatenate([captured.run(s.x, s.lengths) for s in steps])


def cells(folder: Path, device: str) -> Iterator[Cell]:
    """One per variant."""
    mix = Mix.drawn(mixes()["lognormal"].ravel())
    for variant in ("fp32", "fp16"):
        yield f"lognormal {variant}", partial(measured, folder, device, variant, mix)
    yield "one slice of 16 tokens", partial(fixed_cost, folder, device)


def measured(folder: Path, device: str, variant: str, mix: Mix) -> Row:
    """Sweep the sizes of ours and torch's steps, then time the best of each in turn."""
    bundle = Bundle.open(folder / "bundles" / "reference" / "1")
    session = Session(bundle, Options(device, variant), Timed)
    graph = ResidentGraph(Folder(folder), PADDED[variant], Options(device))
    ours: dict[int, Answer] = {size: partial(packed, session, mix, size) for size in SIZES}
    torchs = {size: in_torch(folder, mix, size, variant) for size in SIZES}
    rates = {name: _swept(own, mix) for name, own in (("packed", ours), ("torch", torchs))}
    best = {name: max(found, key=lambda size: found[size]) for name, found in rates.items()}
    contenders: dict[str, Answer] = {
        "packed": ours[best["packed"]],
        "torch": torchs[best["torch"]],
        "padded": partial(padded, graph, mix),
    }
    apart = _apart(contenders)
    timings = alternate(contenders, ROUNDS, f"lognormal {variant}")
    return _row(timings, mix, apart, NEAR[variant]) | {
        "million_tokens_per_second_by_step": rates,
        "best_step_tokens": best,
        "share_of_time_in_stages": _share(contenders["packed"]),
    }


def _row(timings: dict[str, Timing], mix: Mix, apart: float, near: float) -> Row:
    of_torch = ratio(timings["torch"], timings["packed"])
    of_padded = ratio(timings["padded"], timings["packed"])
    tokens = len(mix.x)
    return {
        "ok": of_torch["median"] >= OF_TORCH and of_padded["median"] >= OF_PADDED and apart <= near,
        "tokens": tokens,
        "million_tokens_per_second": {
            name: round(tokens / t.median / 1e6, 2) for name, t in timings.items()
        },
        "times_torch": of_torch,
        "times_padded": of_padded,
        "wanted": {"times_torch": OF_TORCH, "times_padded": OF_PADDED},
        "largest_difference": apart,
    }


def fixed_cost(folder: Path, device: str) -> Row:
    """What a call costs before it computes anything: the most that CUDA graphs could save."""
    bundle = Bundle.open(folder / "bundles" / "reference" / "1")
    session = Session(bundle, Options(device), Timed)
    small = Mix.drawn(np.array([16]))
    run = partial(packed, session, small, 16)
    _seconds(run, 50)
    Timed.seconds = 0.0
    whole = _seconds(run, 200)
    calls = Timed.seconds / 200 / len(session.graphs)
    return {"ok": True, "microseconds": round(whole * 1e6), "of_a_call": round(calls * 1e6)}


def _swept(answers: Mapping[int, Answer], mix: Mix) -> dict[int, float]:
    """Million tokens per second of each size."""
    return {s: round(len(mix.x) / _seconds(run, 3) / 1e6, 2) for s, run in answers.items()}


def _seconds(run: Callable[[], Any], times: int) -> float:
    """Median seconds, after one more to warm up."""
    run()
    found = []
    for _ in range(times):
        started = time.perf_counter()
        run()
        found.append(time.perf_counter() - started)
    return float(np.median(found))


def _share(run: Answer) -> float:
    Timed.seconds, started = 0.0, time.perf_counter()
    run()
    return round(Timed.seconds / (time.perf_counter() - started), 3)


def _apart(contenders: Mapping[str, Answer]) -> float:
    """The largest difference from torch's answers, relative to the largest of them."""
    found = {name: run() for name, run in contenders.items()}
    wanted = found.pop("torch")
    return max(float(np.abs(f - wanted).max() / np.abs(wanted).max()) for f in found.values())
