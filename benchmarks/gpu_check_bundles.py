"""What a bundle must do on a GPU: run there, answer right, not race, and keep its memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from service.bundle import Bundle
from service.graph import Options
from service.manifest import FP32, AttentionStage, PaddedStage
from service.pack import Pack
from service.repository.folder import Folder
from service.session import Session
from service.verification import (
    allowed,
    answers,
    check_golden,
    consistency,
    largest_error,
    resample,
)

Row = dict[str, Any]
Cell = tuple[str, Callable[[], Row]]
LARGE = 131_072  # tokens of one sequence: races show at such sizes
LARGE_ALL_KEYS = 8_192  # where time is quadratic
REPETITIONS = 20
STEPS, WARM_UPS, STEP_TOKENS = 300, 60, 65_536
GROWTH = 64 * 2**20  # bytes of GPU memory, after the warm-up


def bundles(folders: list[Path]) -> list[Bundle]:
    """Those in any of the folders, the first of each name."""
    found: dict[str, Bundle] = {}
    for folder in folders:
        for name, versions in (Folder(folder).models() if folder.is_dir() else {}).items():
            newest = next(iter(versions.values()))
            found.setdefault(name, Bundle.open(newest))
    return list(found.values())


def variants(bundle: Bundle) -> list[str]:
    """Precisions that are for GPUs."""
    return [FP32, *(v.name for v in bundle.manifest.variants if v.name == "fp16")]


def cells(of: Callable[[Bundle, Options], Row], among: list[Bundle], device: str) -> Iterator[Cell]:
    """One per bundle and variant."""
    for bundle in among:
        for variant in variants(bundle):
            name = f"{bundle.manifest.name} {variant}"
            yield name, partial(of, bundle, Options(device, variant))


def placement(bundle: Bundle, options: Options) -> Row:
    """Opens only where every node runs on the device; what it refuses is in the error."""
    session = Session(bundle, options)
    return {"ok": True, "graphs": len(session.graphs), "misplaced": 0}


def parity(bundle: Bundle, options: Options) -> Row:
    """Golden answers within what they may be off by."""
    session = Session(bundle, options)
    error = check_golden(bundle, session)
    return {"ok": True, "error": error, "tolerance": session.tolerance}


def race(bundle: Bundle, options: Options) -> Row:
    """The same long sequence again and again."""
    session = Session(bundle, options)
    pack = _drawn(bundle, [_most(bundle, LARGE)])
    first = answers(session, pack)
    again = [answers(session, pack) for _ in range(REPETITIONS)]
    errors = [largest_error(found, first) for found in again]
    return {
        "ok": all(error <= session.isolation for error in errors),
        "tokens": pack.tokens,
        "runs": len(errors),
        "different": sum(error != 0 for error in errors),
        "error": float(np.max(errors)),
        "most": session.isolation,
    }


def invariance(bundle: Bundle, options: Options) -> Row:
    """Alone, in packs, sliced otherwise and permuted."""
    session, rng = Session(bundle, options), np.random.default_rng(0)
    longest = _most(bundle, 2000)
    pack = _drawn(bundle, [*range(40), *rng.integers(0, longest + 1, 60).tolist()])
    found = consistency(session, pack, rng, repetitions=3, alone=32)
    in_order = (found.permutation_error or 0.0) <= session.tolerance
    return {
        "ok": in_order and found.error <= session.isolation,
        "runs": found.tried,
        "different": found.different,
        "error": found.error,
        "permutation_error": found.permutation_error,
        "most": session.isolation,
    }


def memory(bundle: Bundle, options: Options, used: Callable[[], int] | None = None) -> Row:
    """GPU memory over steps that are all of other shapes."""
    used, session = used or gpu_bytes, Session(bundle, options)
    rng, seen = np.random.default_rng(0), []
    session.run(_drawn(bundle, [_most(bundle, 512)] * (STEP_TOKENS // _most(bundle, 512))))
    for step in range(WARM_UPS + STEPS):
        tokens = int(rng.integers(1, STEP_TOKENS))
        lengths = [_most(bundle, int(n)) for n in rng.integers(1, 512, max(1, tokens // 512))]
        session.run(_drawn(bundle, lengths, step))
        if step >= WARM_UPS and not step % 10:
            seen.append(used())
    grown = max(seen) - seen[0]
    return {"ok": grown <= GROWTH, "grown_bytes": grown, "used_bytes": seen, "steps": STEPS}


def gpu_bytes() -> int:
    """Memory of the GPU that is taken, by whomever."""
    import torch

    free, total = torch.cuda.mem_get_info()
    return total - free


def _most(bundle: Bundle, wanted: int) -> int:
    """A length that the bundle takes in bearable time."""
    slow = any(isinstance(s, AttentionStage | PaddedStage) for s in bundle.manifest.stages)
    return allowed(bundle.manifest, [min(wanted, LARGE_ALL_KEYS) if slow else wanted])[0]


def _drawn(bundle: Bundle, lengths: list[int], seed: int = 0) -> Pack:
    """Sequences of the tokens of usual golden inputs."""
    golden = bundle.golden()
    pool = golden.pack.take(np.flatnonzero(golden.usual))
    return resample(pool, allowed(bundle.manifest, lengths), np.random.default_rng(seed))


CHECKS: dict[str, Callable[[Bundle, Options], Row]] = {
    "placement": placement,
    "parity": parity,
    "race": race,
    "invariance": invariance,
    "memory": memory,
}
