"""The `sumserve` command: finds sub-commands in the entry-point group and runs one.

A sub-command is a module with SUMMARY, add_arguments(parser) and run(args) -> exit code. Its
module docstring is its --help. Modules are light; what is heavy they import in run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from service.errors import SumserveError

GROUP = "sumserve.commands"
TRAINING = {"torch", "onnx", "onnxscript", "safetensors", "sklearn", "matplotlib", "pyarrow"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``sumserve ARGV``; returns the exit code. Errors of ours are one line, no traceback."""
    argv = list(sys.argv[1:] if argv is None else argv)
    commands = {point.name: point for point in entry_points(group=GROUP)}
    if not argv or argv[0] not in commands:
        return _overview(commands, argv)
    module = commands[argv[0]].load()
    args = _parser(argv[0], module).parse_args(argv[1:])
    try:
        return int(module.run(args))
    except SumserveError as error:
        print(f"sumserve {argv[0]}: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"sumserve {argv[0]}: {_missing(error)}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, BrokenPipeError):
        return 130
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"sumserve {argv[0]}: {where}{error.strerror or error}", file=sys.stderr)
        return 1


def _parser(name: str, module: Any) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"sumserve {name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    return parser


def _overview(commands: dict[str, EntryPoint], argv: Sequence[str]) -> int:
    wanted_help = not argv or argv[0] in ("-h", "--help")
    out = sys.stdout if wanted_help else sys.stderr
    if not wanted_help:
        print(f"sumserve: unknown command {argv[0]!r}", file=out)
    print("usage: sumserve COMMAND [--help]\n\ncommands:", file=out)
    for name in sorted(commands):
        print(f"  {name:10} {commands[name].load().SUMMARY}", file=out)
    return 0 if wanted_help else 2


def _missing(error: ModuleNotFoundError) -> str:
    root = (error.name or "").partition(".")[0]
    if root not in TRAINING:
        return str(error)
    return f"{root} is not installed: pip install 'sumserve[train]'"
