"""The graphs that are served against every other way to run the same weights; no HTTP.

    python -m benchmarks.graph [--rounds 9]

Every contender answers the three mixes of the reference model, all but one packed in steps of the
server's token budget. The rate is that of the model's nominal FLOPs (psi unsplit) over the best
rate of matrix products that torch or onnxruntime reach in the same run.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.baselines import layer_of, open_graph, open_one_at_a_time, pool_of
from benchmarks.mixes import mixes
from benchmarks.reference import BUNDLES, checkpoint
from benchmarks.segment_sum import OneHot, Scatter, steps
from benchmarks.timing import alternate, ratio
from models.layers.sumformer import SumformerLayer
from models.model import Model
from models.pack import Pack as TorchPack
from service.bundle import Bundle
from service.graph import Options
from service.pack import BLOCK, Array, Blocks, Pack
from service.runtime import Threads, onnxruntime
from service.session import Session
from service.settings import Settings

RESULT = Path("benchmarks/results/graph.json")
NOMINAL_FLOPS = 2 * (8 * 256 + 256 * 256 + 256 * 128 + 136 * 256 + 256 * 256 + 256 * 8)
SIZES = ((1024, 256, 256), (4096, 256, 256), (2048, 2048, 2048))
RACES = "scatter, fused, wrong"  # onnxruntime's threads race; with one thread it would be slower
Part = tuple[Array, Array]
Way = Callable[[Array, Array], Array]


class Fused(nn.Module):
    """A way to sum by each token's sequence, and psi: the whole model as one graph."""

    def __init__(self, layer: SumformerLayer, total: nn.Module) -> None:
        super().__init__()
        self.layer, self.total = layer, total

    def forward(self, x: Tensor, owner: Tensor, count: Tensor) -> Tensor:
        """x (T, width), owner (T,), count (N, 1) -> (T, width')."""
        return answer(self.layer, x, owner, self.total(x, owner, count))


class FusedBlocks(nn.Module):
    """Blocks summed in the graph and added up by a product with ones, and psi."""

    def __init__(self, layer: SumformerLayer) -> None:
        super().__init__()
        self.layer = layer

    def forward(
        self, x: Tensor, owner: Tensor, count: Tensor, rows: Tensor, belongs: Tensor
    ) -> Tensor:
        """As above, rows (B, BLOCK), belongs (N, B) -> (T, width')."""
        pool = pool_of(self.layer)
        terms = pool.terms(x)
        padded = torch.cat([terms, torch.zeros(1, terms.shape[1])])
        blocks = padded.index_select(0, rows.flatten()).view(-1, BLOCK, terms.shape[1])
        total = belongs @ blocks.sum(1)
        return answer(self.layer, x, owner, pool.finish(total, count))


def answer(layer: SumformerLayer, x: Tensor, owner: Tensor, summary: Tensor) -> Tensor:
    """psi, its half that reads the summary once per sequence."""
    shared = layer.from_summary(summary).index_select(0, owner)
    out: Tensor = layer.tail(torch.addmm(shared, x, layer.from_token.weight.T))
    return out


def by_owner(session: Any, x: Array, lengths: Array) -> Array:
    """One-hot and scatter: told each token's sequence."""
    owner = np.repeat(np.arange(len(lengths)), lengths)
    feeds = (x, owner, lengths.astype(np.float32)[:, None])
    return _run(session, feeds)


def by_blocks(session: Any, x: Array, lengths: Array) -> Array:
    """Told the blocks too, and which belong to whom."""
    return _run(session, _blocked(x, lengths))


def _blocked(x: Array, lengths: Array) -> tuple[Array, ...]:
    owner, blocks = np.repeat(np.arange(len(lengths)), lengths), Blocks.of(lengths)
    (part,) = blocks.slices(10**9)
    belongs = np.arange(len(lengths))[:, None] == np.append(blocks.owner, -1)
    count = lengths.astype(np.float32)[:, None]
    return x, owner, count, part.rows, belongs.astype(np.float32)


def one_by_one(session: Any, x: Array, lengths: Array) -> Array:
    """Every sequence by itself."""
    ends = np.cumsum(lengths)
    return np.concatenate([_run(session, (part,)) for part in np.split(x, ends[:-1])])


def in_torch(model: Callable[[TorchPack], dict[str, Tensor]], x: Array, lengths: Array) -> Array:
    """The checkpoint's own forward."""
    with torch.inference_mode():
        pack = TorchPack({"x": torch.from_numpy(x)}, torch.from_numpy(lengths))
        return model(pack)["y"].numpy()


def compiled(layer: SumformerLayer) -> Way:
    """Sums by blocks, as torch.compile makes kernels of it (of index_add it cannot)."""
    whole = torch.compile(FusedBlocks(layer), dynamic=True)

    def run(x: Array, lengths: Array) -> Array:
        with torch.inference_mode():
            return np.asarray(whole(*(torch.from_numpy(v) for v in _blocked(x, lengths))))

    return run


def served(session: Session, x: Array, lengths: Array) -> Array:
    """The bundle through the session that serves it."""
    return session.run(Pack({"x": x}, lengths))["y"]


def ways(model: Model) -> dict[str, Way]:
    """Every contender, ready to be called with the tokens and lengths of a step."""
    layer, pool = layer_of(model), pool_of(layer_of(model))
    session = Session(Bundle.open(BUNDLES / "reference" / "1"), Options())
    owners = (torch.zeros(7, 8), torch.zeros(7, dtype=torch.int64), torch.ones(3, 1))
    tokens, sequences, blocks = {0: "tokens"}, {0: "sequences"}, {0: "blocks"}
    sizes = [tokens, tokens, sequences]
    more = (torch.zeros(5, BLOCK, dtype=torch.int64), torch.ones(3, 5))
    belongs = {0: "sequences", 1: "blocks"}
    blocked = open_graph(FusedBlocks(layer), (*owners, *more), [*sizes, blocks, belongs])
    one_hot = open_graph(Fused(layer, OneHot(pool)), owners, sizes)
    scatter = open_graph(Fused(layer, Scatter(pool)), owners, sizes)
    return {
        "served": partial(served, session),
        "block sum, fused": partial(by_blocks, blocked),
        "one-hot product, fused": partial(by_owner, one_hot),
        RACES: partial(by_owner, scatter),
        "one at a time": partial(one_by_one, open_one_at_a_time(model, deferred=True)),
        "torch": partial(in_torch, model),
        "torch compiled": compiled(layer),
    }


def _run(session: Any, values: tuple[Array, ...]) -> Array:
    names = [i.name for i in session.get_inputs()]
    return np.asarray(session.run(None, dict(zip(names, values, strict=True)))[0])


def run(way: Way, parts: list[Part]) -> None:
    """All steps of a mix."""
    for x, lengths in parts:
        way(x, lengths)


def best_rate() -> dict[str, float]:
    """GFLOP/s of float32 matrix products with constant weights: the best of sizes and repeats."""
    found = {"torch": 0.0, "onnxruntime": 0.0}
    for n, k, m in SIZES:
        x, weights = torch.randn(n, k), nn.Linear(k, m, bias=False)
        session = open_graph(weights, (x,), [{0: "n"}])
        contenders: dict[str, Callable[[], object]] = {
            "torch": partial(_product, weights, x),
            "onnxruntime": partial(_run, session, (x.numpy(),)),
        }
        for name, product in contenders.items():
            seconds = min(_seconds(product) for _ in range(20))
            found[name] = max(found[name], 2 * n * k * m / seconds / 1e9)
    return {name: round(rate) for name, rate in found.items()}


def _product(weights: nn.Module, x: Tensor) -> None:
    with torch.inference_mode():
        weights(x)


def _seconds(product: Callable[[], object]) -> float:
    begun = time.perf_counter()
    product()
    return time.perf_counter() - begun


def agree(contenders: dict[str, Way], part: Part) -> float:
    """The largest difference of answers to one step but the wrong ones, over the largest answer."""
    found = [way(*part) for name, way in contenders.items() if name != RACES]
    worst = max(float(np.abs(other - found[0]).max() / np.abs(found[0]).max()) for other in found)
    assert worst < 1e-4, f"contenders disagree by {worst}"
    return worst


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    threads = Threads.start()
    torch.set_num_threads(threads)
    contenders = ways(checkpoint("reference").model)
    rng = np.random.default_rng(1)
    result: dict[str, Any] = {
        "threads": threads,
        "onnxruntime": onnxruntime().__version__,
        "torch": torch.__version__,
        "sgemm_gflops": best_rate(),
    }
    for name, lengths in mixes().items():
        cut = steps(lengths.ravel(), Settings().step_tokens)
        parts = [(rng.normal(size=(n.sum(), 8)).astype(np.float32), n) for n in cut]
        difference = agree(contenders, parts[0])
        runs = {key: partial(run, way, parts) for key, way in contenders.items()}
        timings = alternate(runs, args.rounds, name)
        own, tokens = timings["served"], int(lengths.sum())
        rate = NOMINAL_FLOPS * tokens / own.median / 1e9
        result[name] = {
            "tokens": tokens,
            "largest_difference": difference,
            "microseconds_per_token": {
                key: round(1e6 * timing.median / tokens, 2) for key, timing in timings.items()
            },
            "served_times_faster_than": {
                key: ratio(timing, own) for key, timing in timings.items() if timing != own
            },
            "served_gflops": round(rate),
            "share_of_sgemm": round(rate / max(result["sgemm_gflops"].values()), 2),
        }
        print(name, json.dumps(result[name], indent=2))
    args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
