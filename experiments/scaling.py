"""Time and memory of one mixing layer against the length n: which are linear, which are not.

One sequence through one layer of width 64 and 4 heads, without gradients, on one thread, so that
slopes are the algorithms' and not those of threads setting in. Time is the median of forward
passes that alternate between the architectures; freed memory is kept, as a server's arena keeps it:
otherwise the kernel clears every large tensor page by page, and more of them the longer n. Memory
is by how much the resident set of a fresh process grows at most during the first pass (Linux: VmHWM
over VmRSS). Linformer keeps k = 64, Performer m = 64, the star reads 16 and the window 32 tokens
beside one that all read; the strided pattern has the width sqrt(n). Exponents are least squares in
log-log over n >= 4,096, for the dense layer over 2,048..8,192.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from math import isqrt
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor

from experiments.cells import Cell, compute, options
from experiments.tables import figure, table, write
from models import config
from models.layers import build_layer
from models.layers.layer import Frame, Layer
from models.pack import Pack

WIDTH, HEADS = 64, 4
LENGTHS = tuple(2**k for k in range(8, 18))
FIRST, LONGEST = 4096, LENGTHS[-1]
DENSE, DENSE_FIRST, DENSE_LONGEST = "transformer", 2048, 8192
REPEATS, PAGE = 15, 4096
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of mallopt(3)


def _sumformer(n: int) -> config.Mixing:
    pool = config.SumPool(phi=(2 * WIDTH,), latent_dim=2 * WIDTH, aggregation="mean", count=True)
    return config.SumformerLayer(pool=pool, psi=(2 * WIDTH,), width=WIDTH)


LAYERS: dict[str, Callable[[int], config.Mixing]] = {
    DENSE: lambda n: config.TransformerLayer(heads=HEADS),
    "linformer": lambda n: config.LinformerLayer(heads=HEADS, projection_dim=64),
    "performer": lambda n: config.PerformerLayer(heads=HEADS, num_features=64),
    "sumformer": _sumformer,
    "sparse star": lambda n: config.SparseLayer(heads=HEADS, pattern="star", reach=8),
    "sparse window+global": lambda n: config.SparseLayer(
        heads=HEADS, pattern="window_global", reach=32, globals=1
    ),
    "sparse strided": lambda n: config.SparseLayer(heads=HEADS, pattern="strided", reach=isqrt(n)),
}
TARGETS = {DENSE: (1.8, 2.2), "sparse strided": (1.4, 1.6)}
LINEAR = (0.0, 1.1)


def _layer(name: str, n: int) -> Layer:
    torch.manual_seed(0)
    return build_layer(LAYERS[name](n), Frame(WIDTH, "gelu", n)).eval()


@torch.no_grad()
def _forward(layer: Layer, hidden: Tensor) -> Tensor:
    """With a pack of its own: what a pack caches belongs to the time of a first layer."""
    out: Tensor = layer(hidden, Pack({}, torch.tensor([len(hidden)])))
    return out


def cell(n: int, name: str | None, smoke: bool) -> Cell:
    """The memory of the named architecture at this length, or else the times of all."""
    if name is not None:
        return memory(n, name, not smoke)
    if not smoke:
        _keep_freed_memory()
    return timing(n, 2 if smoke else REPEATS)


def _keep_freed_memory() -> None:
    """Have glibc, where there is one, hold on to large blocks for the rest of this process."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)


def timing(n: int, repeats: int) -> Cell:
    """Seconds of every architecture's forward pass, taken in turns -> their medians."""
    hidden = torch.randn(n, WIDTH, generator=torch.Generator().manual_seed(1))
    layers = {name: _layer(name, n) for name in measured(n)}
    for layer in layers.values():
        _forward(layer, hidden)
    taken: dict[str, list[float]] = {name: [] for name in layers}
    for _ in range(repeats):
        for name, layer in layers.items():
            began = time.perf_counter()
            _forward(layer, hidden)
            taken[name].append(time.perf_counter() - began)
    return {
        "median": {name: median(seconds) for name, seconds in taken.items()},
        "least": {name: min(seconds) for name, seconds in taken.items()},
    }


def memory(n: int, name: str, fresh: bool) -> Cell:
    """Bytes that the process grows by, in a process of its own where ``fresh``."""
    if not fresh:
        return {"bytes": _growth(name, n)}
    with ProcessPoolExecutor(1, get_context("spawn"), torch.set_num_threads, (1,)) as process:
        return {"bytes": process.submit(_growth, name, n).result()}


def _growth(name: str, n: int) -> int:
    """The peak of a first pass over what was there before; a tiny pass loads the libraries."""
    layer, hidden = _layer(name, n), torch.randn(n, WIDTH)
    _forward(layer, hidden[:64])
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew, see proc(5)
    _forward(layer, hidden)
    return max(0, _resident("VmHWM") - before)


def _resident(field: str) -> int:
    """Bytes, from the kernel's account of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def measured(n: int) -> list[str]:
    """The architectures that are measured at this length."""
    return [name for name in LAYERS if name != DENSE or n <= DENSE_LONGEST]


def exponent(by_length: Mapping[int, float]) -> float:
    """The slope of least squares in log-log: n -> value behaves as n^exponent."""
    lengths, values = zip(*by_length.items(), strict=True)
    slope, _ = np.polyfit(np.log(lengths), np.log(values), 1)
    return float(slope)


def series(found: Mapping[str, Cell], name: str, what: str) -> dict[int, float]:
    """n -> ``what`` of an architecture: milliseconds ("time") or MiB ("memory")."""
    lengths = [int(key.split()[1]) for key in found if key.startswith("time ")]
    own = [n for n in lengths if name in measured(n)]
    if what == "time":
        return {n: 1e3 * found[f"time {n}"]["median"][name] for n in own}
    return {n: max(PAGE, found[f"memory {name} {n}"]["bytes"]) / 2**20 for n in own}


def fitted(by_length: Mapping[int, float], name: str, first: int | None = None) -> float:
    """The exponent over the lengths that count; over all where fewer than two are that long."""
    first = first or (DENSE_FIRST if name == DENSE else FIRST)
    long = {n: value for n, value in by_length.items() if n >= first}
    return exponent(long if len(long) > 1 else by_length)


def lengths_of(smoke: bool) -> tuple[int, ...]:
    """Powers of two."""
    return (256, 1024) if smoke else LENGTHS


def cells(smoke: bool) -> dict[str, tuple[int, str | None, bool]]:
    """Times by length, side by side; memory by architecture and length, each in a process."""
    lengths = lengths_of(smoke)
    every = [(n, name) for n in lengths for name in measured(n)]
    return {
        **{f"time {n}": (n, None, smoke) for n in lengths},
        **{f"memory {name} {n}": (n, name, smoke) for n, name in every},
    }


def exponents(found: Mapping[str, Cell]) -> str:
    """Exponents of time, with what they should be, of its last three points, and of memory."""
    rows = []
    for name in LAYERS:
        low, high = TARGETS.get(name, LINEAR)
        timed = series(found, name, "time")
        slope, tail = fitted(timed, name), fitted(timed, name, sorted(timed)[-3:][0])
        verdict = "reached" if low <= slope <= high else "missed"
        wanted = f"{low} to {high}" if low else f"at most {high}"
        memory_slope = fitted(series(found, name, "memory"), name)
        texts = (f"{value:.2f}" for value in (slope, tail, memory_slope))
        rows.append([name, *texts, wanted, verdict])
    header = ["layer", "time: n to the", "last three lengths", "memory: n to the"]
    return table([*header, "time wanted", "verdict"], rows)


def by_length(found: Mapping[str, Cell], what: str, smoke: bool) -> str:
    """One row per architecture, one column per length."""
    rows = []
    for name in LAYERS:
        values = series(found, name, what)
        rows.append([name, *(values.get(n, "-") for n in lengths_of(smoke))])
    return table(["layer", *(f"n = {n:,}" for n in lengths_of(smoke))], rows)


def draw(found: Mapping[str, Cell], path: Path) -> None:
    """Time and memory over n, both log-log."""
    made, axes = figure(1, 2, (12, 4.5))
    for axis, what, unit in zip(axes, ("time", "memory"), ("ms", "MiB"), strict=True):
        for name in LAYERS:
            values = series(found, name, what)
            axis.loglog(list(values), list(values.values()), ".-", label=name, base=2)
        axis.set(title=f"{what} of one layer, forward", xlabel="n", ylabel=unit)
        axis.set_yscale("log", base=10)
        axis.grid(alpha=0.3)
    axes[0].legend()
    made.savefig(path, dpi=120)


def per_connection(found: Mapping[str, Cell]) -> str:
    """Why the strided layer misses its exponent, in nanoseconds."""
    timed = series(found, "sparse strided", "time")
    ends = [n for n in timed if n >= FIRST][:1] or [min(timed)], [max(timed)]
    (one, first), (other, last) = ((n, 1e6 * timed[n] / (2 * n * isqrt(n))) for (n,) in ends)
    return (
        f"The strided layer has about 2 n^1.5 connections. One costs {first:.0f} ns at "
        f"n = {one:,} and {last:.0f} ns at n = {other:,}: tiles of sqrt(n) by sqrt(n) "
        "keep the processor busier the larger they are, so time grows more slowly. The dense "
        "layer's memory is linear because its scores are never all there at once."
    )


def main() -> None:
    """All measurements, the tables and the picture."""
    chosen = options("scaling", __doc__)
    # one worker whatever was asked for: two measurements at once would time each other
    found = compute(chosen.out / "scaling.json", cells(chosen.smoke), cell, workers=1)
    draw(found, chosen.out / "scaling.png")
    write(
        chosen.out / "scaling.md",
        "Time and memory against the length",
        (__doc__ or "").strip(),
        exponents(found),
        "## Milliseconds",
        by_length(found, "time", chosen.smoke),
        "## Peak memory in MiB",
        by_length(found, "memory", chosen.smoke),
        per_connection(found),
    )


if __name__ == "__main__":
    main()
