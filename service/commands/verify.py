"""Check bundles anywhere: hashes, golden answers, and that company changes nothing.

    sumserve verify deploy/bundles/digits/1

Needs no torch: the checkpoint's own answers lie in the bundle. Then sequences made of the golden
tokens run alone, packed, in other slices, permuted, and again and again, and the golden ones with
another number of threads: on a CPU all to the last bit. Exits with 1 and names the file or the
error when a bundle fails.
"""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "check bundles against their hashes and golden answers, and for races and leaks"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which bundles, and how many threads."""
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE", help="bundle folder")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda or cuda:N")
    precisions = ("fp32", "fp16", "int8")
    parser.add_argument("--variant", choices=precisions, default="fp32", help="default: fp32")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as CPUs (default)")
    parser.add_argument(
        "--tokens",
        type=int,
        default=131_072,
        metavar="N",
        help="of the longest sequence, run 20 times; 0: golden answers only (default: 131072)",
    )


def run(args: argparse.Namespace) -> int:
    """Check each bundle; the first that fails raises BundleError."""
    from service.bundle import Bundle
    from service.errors import SettingsError
    from service.graph import Options
    from service.runtime import Threads
    from service.session import Session
    from service.verification import check_company, check_golden

    if args.tokens < 0:
        raise SettingsError(f"--tokens {args.tokens}: must be 0 or more")
    Threads.start(args.threads)
    for folder in args.bundles:
        bundle = Bundle.open(folder)
        session = Session(bundle, Options(args.device, args.variant))
        error = check_golden(bundle, session)
        name = f"{bundle.manifest.name}/{bundle.manifest.version} {args.variant}"
        print(f"{name}: {len(bundle.manifest.files)} files intact, golden error {error:.1e}")
        if args.tokens:
            runs = check_company(bundle, session, args.tokens)
            how = f"within {session.isolation:.0e}" if session.isolation else "to the last bit"
            print(f"{name}: {runs} runs in other company, the same {how}")
    return 0
