"""Check bundles: the hash of every file, then the golden outputs, through the serving session.

    sumserve verify deploy/bundles/digits/1

Needs no torch: the golden data lies in the bundle, computed by the checkpoint at export. Exits
with 1 and names the file or the error when a bundle fails.
"""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "check bundles against their hashes and golden outputs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which bundles, and how many threads."""
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE", help="bundle folder")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as CPUs (default)")


def run(args: argparse.Namespace) -> int:
    """Check each bundle; the first that fails raises BundleError."""
    from service.bundle import Bundle
    from service.runtime import Threads
    from service.session import Options, Session
    from service.verification import check_golden

    Threads.start(args.threads)
    for folder in args.bundles:
        bundle = Bundle.open(folder)
        error = check_golden(bundle, Session(bundle, Options(args.device)))
        name = f"{bundle.manifest.name}/{bundle.manifest.version}"
        print(f"{name}: {len(bundle.manifest.files)} files intact, golden error {error:.1e}")
    return 0
