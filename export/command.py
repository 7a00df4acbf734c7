"""Export a checkpoint to a verified bundle: FOLDER/name/version.

    sumserve export build/checkpoints/digits --out build/bundles

The bundle is a chain of ONNX graphs, a manifest with hashes, golden data, the model card, and the
proof: verification.md tells what was found between the checkpoint in float64 and the very session
that will serve, over lengths and pack sizes never used while tracing. When an error is above what
it may be, or a bit depends on what else is in a pack, the exit code is 1 and no bundle is written.
"""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "turn a checkpoint into a verified bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """From where, to where."""
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="checkpoint folder")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("build/bundles"),
        metavar="FOLDER",
        help="folder of bundles, written as FOLDER/name/version (default: build/bundles)",
    )
    parser.add_argument("--bundle-version", default="1", metavar="N", help="default: 1")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as CPUs (default)")
    parser.add_argument(
        "--max-length",
        type=int,
        metavar="N",
        help="the longest sequence to take: what attention that keeps all keys needs to be told",
    )
    parser.add_argument(
        "--effort",
        choices=("full", "quick"),
        default="full",
        help="verify with up to 1,000,000 tokens (default), or in seconds with up to 10,000",
    )
    precisions = ("fp16", "int8")
    about = "write this precision too: fp16 is for GPUs, int8 for CPUs (may be repeated)"
    parser.add_argument("--variant", action="append", choices=precisions, default=[], help=about)
    about = "write it even if the task's score falls by more than allowed"
    parser.add_argument(
        "--force-variant", action="append", choices=precisions, default=[], help=about
    )
    parser.add_argument("--force", action="store_true", help="replace a bundle that exists")


def run(args: argparse.Namespace) -> int:
    """Export and print where the bundle is."""
    from export.bundle import ExportError, export, limited
    from export.cases import EFFORTS
    from models.checkpoint import Checkpoint, CheckpointError
    from models.training.model_card import NAME
    from service.runtime import Threads

    Threads.start(args.threads)
    try:
        checkpoint = Checkpoint.load(args.checkpoint)
    except CheckpointError as error:
        raise ExportError(str(error)) from error
    if args.max_length is not None:
        checkpoint = limited(checkpoint, args.max_length)
    card = args.checkpoint / NAME
    folder = export(
        checkpoint,
        args.out,
        args.bundle_version,
        force=args.force,
        effort=EFFORTS[args.effort],
        card=card.read_text() if card.exists() else None,
        variants=list(dict.fromkeys([*args.variant, *args.force_variant])),
        forced=args.force_variant,
    )
    print(folder)
    return 0
