"""Ways to sum phi over each sequence of a pack, on the three mixes: why the block sum was chosen.

    python -m benchmarks.segment_sum [--rounds 9] [--threads 2]

Each way is the first stage of the reference model (phi's body, the sum, phi's last linear map) as
one graph, run in steps of the server's token budget. `error` is the largest relative error of the
sums against float64, over repeated runs: onnxruntime's threaded scatter races and is simply wrong.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.baselines import layer_of, open_graph, pool_of
from benchmarks.mixes import mixes
from benchmarks.reference import checkpoint
from benchmarks.timing import alternate
from export.segments import Blocks as BlockSums
from models.pools import SumPool
from service.manifest import Summary, SummaryField
from service.pack import BLOCK, SLICE_TOKENS, Array, Blocks
from service.runtime import Threads, onnxruntime
from service.settings import Settings
from service.summary import Fold

RESULT = Path("benchmarks/results/segment_sum.json")
Way = Callable[[Array, Array], Array]


class BlockSum(nn.Module):
    """The stage that is served: terms gathered by blocks, summed, then phi's last linear map."""

    def __init__(self, pool: SumPool) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, hidden: Tensor, rows: Tensor, sizes: Tensor) -> Tensor:
        """hidden (T, width), rows (B, BLOCK), sizes (B, 1) -> (B, latent_dim)."""
        total = BlockSums({"rows": rows}).sum(self.pool.terms(hidden))
        return self.pool.finish(total, sizes)


class Scatter(nn.Module):
    """Add every token's terms to its sequence's row: ScatterND with reduction=add."""

    def __init__(self, pool: SumPool) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor, owner: Tensor, count: Tensor) -> Tensor:
        """x (T, width), owner (T,), count (N, 1) -> (N, latent_dim)."""
        terms = self.pool.terms(x)
        total = torch.zeros_like(count).expand(-1, terms.shape[1])
        return self.pool.finish(total.index_add(0, owner, terms), count)


class OneHot(nn.Module):
    """Multiply with a matrix of ones where token and sequence belong together."""

    def __init__(self, pool: SumPool) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor, owner: Tensor, count: Tensor) -> Tensor:
        """x (T, width), owner (T,), count (N, 1) -> (N, latent_dim)."""
        belongs = torch.arange(count.shape[0])[:, None] == owner
        return self.pool.finish(belongs.to(x.dtype) @ self.pool.terms(x), count)


class Aligned(nn.Module):
    """Pad every sequence to whole blocks of tokens, so that blocks need no gathering."""

    def __init__(self, pool: SumPool) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor, mask: Tensor, sizes: Tensor) -> Tensor:
        """x (B, BLOCK, width), mask (B, BLOCK, 1), sizes (B, 1) -> (B, latent_dim)."""
        terms = self.pool.terms(x.flatten(0, 1))
        terms = terms.reshape(x.shape[0], BLOCK, terms.shape[1])
        return self.pool.finish((terms * mask).sum(1), sizes)


def block_sum(session: Any, most: int, x: Array, lengths: Array) -> Array:
    """Ours: gather blocks of terms, sum each, fold over blocks in float64; slices of ``most``."""
    blocks = Blocks.of(lengths)
    found = [
        session.run(None, {"hidden": x[s.tokens], "rows": s.rows, "sizes": s.sizes})[0][:-1]
        for s in blocks.slices(most)
    ]
    return folded(np.concatenate(found), blocks.owner, len(lengths))


def aligned(session: Any, x: Array, lengths: Array) -> Array:
    """Pad tokens to whole blocks first."""
    blocks = Blocks.of(lengths)
    rows = blocks.starts[:, None] + np.arange(BLOCK)
    inside = np.arange(BLOCK) < blocks.sizes[:, None]
    padded = x[np.where(inside, rows, 0)]
    mask, sizes = inside[..., None].astype(np.float32), blocks.sizes[:, None].astype(np.float32)
    found = session.run(None, {"x": padded, "mask": mask, "sizes": sizes})[0]
    return folded(found, blocks.owner, len(lengths))


def folded(rows: Array, owner: Array, sequences: int) -> Array:
    """Sums of blocks (B, k) -> of their sequences (N, k), as a session folds them."""
    field = SummaryField(shape=(rows.shape[1],))
    fold = Fold(Summary(name="block.0", merge="add", fields={"sum": field}), sequences)
    fold.add({"sum": rows}, owner)
    return fold.rows()["sum"]


def by_owner(session: Any, x: Array, lengths: Array) -> Array:
    """Scatter and one-hot: one graph, told each token's sequence."""
    owner = np.repeat(np.arange(len(lengths)), lengths)
    count = lengths.astype(np.float32)[:, None]
    return np.asarray(session.run(None, {"x": x, "owner": owner, "count": count})[0])


def ways(pool: SumPool) -> dict[str, Way]:
    """Every way, ready to be called with tokens and lengths."""
    block = _open_blocks(BlockSum(pool), torch.zeros(7, 8), torch.zeros(5, BLOCK).long())
    align = _open_blocks(Aligned(pool), torch.zeros(5, BLOCK, 8), torch.ones(5, BLOCK, 1))
    return {
        "block sum": partial(block_sum, block, SLICE_TOKENS),
        "block sum, one slice a step": partial(block_sum, block, 10**9),
        "aligned blocks": partial(aligned, align),
        "one-hot product": partial(by_owner, _open_by_owner(OneHot(pool))),
        "scatter": partial(by_owner, _open_by_owner(Scatter(pool))),
    }


def _open_blocks(way: nn.Module, x: Tensor, rows: Tensor) -> Any:
    blocks = {0: "blocks"}
    first = blocks if len(x) == len(rows) else {0: "tokens"}
    return open_graph(way, (x, rows, torch.ones(5, 1)), [first, blocks, blocks])


def _open_by_owner(way: nn.Module) -> Any:
    tokens = {0: "tokens"}
    examples = (torch.zeros(7, 8), torch.zeros(7, dtype=torch.int64), torch.ones(3, 1))
    return open_graph(way, examples, [tokens, tokens, {0: "sequences"}])


def steps(lengths: Array, budget: int) -> list[Array]:
    """Consecutive sequences of up to ``budget`` tokens."""
    ends = np.cumsum(lengths)
    return np.split(lengths, np.flatnonzero(np.diff((ends - 1) // budget)) + 1)


def run(way: Way, parts: list[tuple[Array, Array]]) -> list[Array]:
    """All steps of a mix."""
    return [way(x, lengths) for x, lengths in parts]


def error(way: Way, pool: SumPool, parts: list[tuple[Array, Array]], repeats: int = 5) -> float:
    """Largest error of a sequence's sums against float64, relative to its largest; repeated."""
    double = pool.double()
    worst = 0.0
    for x, lengths in parts[:3]:
        with torch.no_grad():
            phi = double.phi(torch.from_numpy(x).double()).numpy()
        wanted = np.add.reduceat(phi, np.cumsum(lengths) - lengths)
        for _ in range(repeats):
            missed = np.abs(way(x, lengths) - wanted).max(1) / np.abs(wanted).max(1)
            worst = max(worst, float(missed.max()))
    return worst


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    threads = Threads.start(args.threads)
    contenders = ways(pool_of(layer_of(checkpoint("reference").model)))
    reference = pool_of(layer_of(checkpoint("reference").model))
    rng = np.random.default_rng(1)
    result: dict[str, object] = {"threads": threads, "onnxruntime": onnxruntime().__version__}
    for name, lengths in mixes().items():
        cut = steps(lengths.ravel(), Settings().step_tokens)
        parts = [(rng.normal(size=(n.sum(), 8)).astype(np.float32), n) for n in cut]
        timings = alternate(
            {k: partial(run, w, parts) for k, w in contenders.items()}, args.rounds, name
        )
        result[name] = {
            way: {
                "median_seconds": round(timings[way].median, 3),
                "error": float(f"{error(contenders[way], reference, parts):.1e}"),
            }
            for way in contenders
        }
        print(name, json.dumps(result[name], indent=2))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
