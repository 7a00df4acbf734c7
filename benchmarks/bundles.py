"""Every shipped checkpoint as a bundle: how large, how exact, how fast, in every precision.

    python -m benchmarks.bundles [--only NAME ...] [--effort quick]

What the server serves by itself goes to deploy/bundles, the rest to build/bundles. A precision in
which a task's score falls too far is refused, and the table says so.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.bundle import export, limited
from export.cases import EFFORTS, Effort
from export.support import unsupported
from export.variants import CALIBRATION, Name, VariantError
from models.checkpoint import Checkpoint
from models.training.model_card import NAME as CARD
from service.bundle import VERIFICATION, Bundle
from service.graph import Options
from service.runtime import Threads, onnxruntime
from service.session import Session
from service.verification import resample

CHECKPOINTS, SERVED, REST = (
    Path("models/checkpoints"),
    Path("deploy/bundles"),
    Path("build/bundles"),
)
BY_ITSELF = ("digit_sum", "digits", "polynomial")
RESULT = Path("benchmarks/results/bundles.json")
VARIANTS: tuple[Name, ...] = ("fp16", "int8")
MAX_LENGTH = 1024  # of models whose attention keeps all keys
ROUNDS = 7


def exported(folder: Path, effort: Effort) -> tuple[Path, dict[str, str]]:
    """The bundle of a checkpoint, and why a variant of it was refused."""
    checkpoint = Checkpoint.load(folder)
    if unsupported(checkpoint.model) is not None:
        checkpoint = limited(checkpoint, MAX_LENGTH)
    root = SERVED if folder.name in BY_ITSELF else REST
    card, variants, refused = (folder / CARD).read_text(), list(VARIANTS), dict[str, str]()
    while True:
        try:
            made = export(
                checkpoint, root, "1", force=True, effort=effort, card=card, variants=variants
            )
            return made, refused
        except VariantError as error:
            bad = next(name for name in variants if f" {name}: " in str(error))
            refused[bad] = str(error).partition(f" {bad}: ")[2].partition(";")[0]
            variants.remove(bad)


def row(folder: Path, effort: Effort) -> dict[str, Any]:
    """One checkpoint's line of the table."""
    begun = time.perf_counter()
    made, refused = exported(folder, effort)
    seconds = time.perf_counter() - begun
    bundle = Bundle.open(made)
    proof, own = json.loads((made / VERIFICATION).read_text()), bundle.manifest
    return {
        "architecture": own.architecture.name,
        "bytes": sum((made / stage.file).stat().st_size for stage in own.stages),
        "export_seconds": round(seconds, 1),
        "largest_error": max(case["error"] for case in proof["cases"] if usual_case(case)),
        "share_of_allowed": max(case["error"] / case["allowed"] for case in proof["cases"]),
        "tolerance": own.tolerance,
        "runs": sum(case["tried"] for case in proof["cases"]),
        "different": sum(case["different"] for case in proof["cases"]),
        "flops_per_token": own.flops_per_token,
        "million_tokens_per_second": speed(bundle),
        "variants": {
            variant.name: variant.model_dump(exclude={"files"}) for variant in own.variants
        },
        "refused": refused,
    }


def usual_case(case: dict[str, Any]) -> bool:
    """Whether its tokens are like those of training."""
    return not str(case["case"]).endswith(" values")


def speed(bundle: Bundle) -> float:
    """Through the session that serves, 64 sequences of 64 tokens to a step: the best round."""
    golden, longest = bundle.golden(), bundle.manifest.max_length or 64
    usual = golden.pack.take(np.flatnonzero(golden.usual))
    pack = resample(usual, [min(n, longest) for n in CALIBRATION], np.random.default_rng(0))
    session, best = Session(bundle, Options()), float("inf")
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        session.run(pack)
        best = min(best, time.perf_counter() - begun)
    return round(pack.tokens / best / 1e6, 3)


def table(rows: dict[str, dict[str, Any]]) -> str:
    """As Markdown."""
    head = (
        "bundle",
        "architecture",
        "kB",
        "export, s",
        "largest error",
        "allowed",
        "share of it, unusual values too",
        "runs, not the same",
        "M tokens/s",
        "fp16",
        "int8",
    )
    lines = [head, ["---"] * len(head), *(_cells(name, own) for name, own in rows.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(name: str, own: dict[str, Any]) -> Sequence[str]:
    return (
        name,
        own["architecture"],
        f"{own['bytes'] / 1e3:,.0f}",
        f"{own['export_seconds']:.0f}",
        f"{own['largest_error']:.1e}",
        f"{own['tolerance']:.1e}",
        f"{own['share_of_allowed']:.2f}",
        f"{own['runs']}, {own['different']}",
        f"{own['million_tokens_per_second']:.2f}",
        *(_variant(own, precision) for precision in VARIANTS),
    )


def _variant(own: dict[str, Any], precision: str) -> str:
    if precision in own["refused"]:
        return f"refused: {own['refused'][precision]}"
    found = own["variants"][precision]
    share = found["size"] / own["bytes"]
    return f"error {found['error']:.0e}, {share:.2f} x bytes, {found['speed']:.2f} x speed"


def main() -> None:
    """Export, measure, write; rows of other runs are kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these checkpoints")
    parser.add_argument("--effort", choices=EFFORTS, default="full")
    args = parser.parse_args()
    threads, names = Threads.start(), sorted(path.name for path in CHECKPOINTS.iterdir())
    found = json.loads(RESULT.read_text()) if RESULT.exists() else {"bundles": {}}
    for name in args.only or names:
        found["bundles"][name] = row(CHECKPOINTS / name, EFFORTS[args.effort])
        found |= {"threads": threads, "onnxruntime": onnxruntime().__version__}
        found["bundles"] = dict(sorted(found["bundles"].items()))
        RESULT.write_text(json.dumps(found, indent=2) + "\n")
    page = table(found["bundles"])
    RESULT.with_suffix(".md").write_text(f"# Bundles\n\n`make bundles`. {PAGE}\n\n{page}\n")
    print(page)


PAGE = (
    "Errors are relative to each sequence's largest output, against the checkpoint in float64, "
    "over the cases of each `verification.md`. Allowed is the least of any case: ill-conditioned "
    "ones (such as the mass of an empty jet, next to nothing) may err four times as far as the "
    "checkpoint does in float32 with exact sums. Speed is of 64 sequences of 64 tokens to a step "
    "on 2 cores. fp16 is meant for GPUs: its speed here is a CPU's."
)

if __name__ == "__main__":
    main()
