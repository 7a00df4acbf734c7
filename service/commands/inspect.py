"""Say what a bundle is: what it reads and answers, its stages, memory, work and promises.

    sumserve inspect deploy/bundles/digits/1

Checks hashes, loads no graph. --json prints the manifest itself.
"""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "say what a bundle is"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which bundles."""
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE", help="bundle folder")
    parser.add_argument("--json", action="store_true", help="the manifest as it is")


def run(args: argparse.Namespace) -> int:
    """Print a page per bundle."""
    from service.bundle import Bundle
    from service.inspection import page

    for folder in args.bundles:
        manifest = Bundle.open(folder).manifest
        lines = [manifest.model_dump_json(indent=2)] if args.json else page(manifest)
        print("\n".join(lines))
    return 0
