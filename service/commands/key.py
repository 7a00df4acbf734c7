"""Make an API key: the key on standard error, its entry for the file of keys on standard output.

    sumserve key team-a --tokens-per-second 50000 >> keys.toml
    sumserve serve --keys keys.toml

The file holds a hash and never the key: whoever reads it cannot use the server. Admin keys are for
loading and unloading models, all others for asking them.
"""

from __future__ import annotations

import argparse
import sys

SUMMARY = "make an API key, and its entry for the file of keys"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose it is, and what it is good for."""
    parser.add_argument("name", help="what logs and fair shares know it by")
    parser.add_argument("--admin", action="store_true", help="for the model repository")
    parser.add_argument("--tokens-per-second", type=float, help="its rate (default: no limit)")
    parser.add_argument("--expires", metavar="DATE", help="last day on which it is good, in UTC")


def run(args: argparse.Namespace) -> int:
    """Print both. SettingsError says what is wrong with what was asked for."""
    from service.keys import entry_text, new_key

    key, hashed = new_key()
    rate, expires = args.tokens_per_second, args.expires
    entry = entry_text(args.name, hashed, "admin" if args.admin else "client", rate, expires)
    print(entry, end="")
    print(f"the key, which is kept nowhere: {key}", file=sys.stderr)
    return 0
