"""Export a checkpoint to a verified bundle: FOLDER/name/version.

    sumserve export build/checkpoints/digits --out build/bundles

The bundle is a chain of ONNX graphs, a manifest with hashes, golden data, and verification.json:
the errors found between the checkpoint in float64 and the very session that will serve, over
lengths and pack sizes never used while tracing. When one is above the tolerance the exit code is
1 and no bundle is written.
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
    parser.add_argument("--force", action="store_true", help="replace a bundle that exists")


def run(args: argparse.Namespace) -> int:
    """Export and print where the bundle is."""
    from export.bundle import ExportError, export
    from models.checkpoint import Checkpoint, CheckpointError
    from service.runtime import Threads

    Threads.start(args.threads)
    try:
        checkpoint = Checkpoint.load(args.checkpoint)
    except CheckpointError as error:
        raise ExportError(str(error)) from error
    print(export(checkpoint, args.out, args.bundle_version, force=args.force))
    return 0
