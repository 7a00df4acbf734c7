"""Serve the newest version of every bundle under --models over HTTP.

    sumserve serve --models deploy/bundles --port 8080
    curl -s localhost:8080/v1/models

Every setting is a flag, an environment variable, and a line of sumserve.toml (or of --config's
file); the flag wins, then the variable. --print-config shows all of them. A bad or unknown setting,
or a bundle that is corrupted or misses its golden outputs, stops the start with one line.
With --workers several processes serve behind one port, and one that dies is started again.
With --grpc-port the Open Inference Protocol is served over gRPC too, on a port of its own.
On SIGTERM the server stops being ready, serves on for --grace-seconds, then finishes what is in
flight, for --drain-seconds at most.
"""

from __future__ import annotations

import argparse
import os

from service.configuration import add_flags, as_toml, load_settings

SUMMARY = "answer HTTP requests with the bundles of a folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One flag per setting."""
    add_flags(parser)
    parser.add_argument(
        "--print-config", action="store_true", help="print all settings as a TOML file, and end"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop."""
    from service import logs
    from service.server import serve

    settings = load_settings(os.environ, vars(args))
    if args.print_config:
        print(as_toml(settings), end="")
        return 0
    logs.configure(settings.log_level)
    serve(settings)
    return 0
