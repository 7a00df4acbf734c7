"""Run a bundle over a file without a server.

    echo '[[0,0,5],[3,4,16]]' | sumserve predict deploy/bundles/digits/1 -
    sumserve predict deploy/bundles/digits/1 sets.parquet answers.parquet
    sumserve predict build/bundles/histories/1 events.parquet answers.parquet \\
        --group-by customer --order-by time --rename amount=amount_eur

JSON lines come in from FILE, or - for standard input, and go out to standard output. Each line is
one sequence as in a request's "sequences": a list, or an object with a list per column. Each answer
is {"output": ...}, with "label" and "probabilities" for a classifier; of several outputs each is an
object by output. A bad line stops the run with its number; those before it have been answered.

A FILE that ends in .parquet, .arrow or .feather has a sequence in each row, in list columns, and
the answers go to OUT, a Parquet file of as many rows: OUTPUT, a number, a list, or a list of those
per token; OUTPUT.label and OUTPUT.probability for a classifier. The file is read in batches, so it
may be larger than memory. Finished parts are kept in OUT.parts: a run that was stopped goes on
where it was when it is started again, and OUT appears at the end, whole. A bad row stops the run.

With --group-by FILE is a long table, a row per token: it has a sequence for each KEY, in order of
KEY, its tokens in order of TIME. The columns that are needed, and no others, are held in memory.
Context, and columns to keep, are taken from the first row of each KEY.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service.bundle import Bundle
    from service.session import Session
    from service.tables.source import Source

SUMMARY = "run a bundle over a file: JSON lines, Parquet or Arrow"
TABLES = (".parquet", ".arrow", ".feather")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to run, on what."""
    from service.settings import Settings

    default = Settings.model_fields["step_tokens"].default
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="bundle folder")
    parser.add_argument("file", type=Path, metavar="FILE", help="JSON lines, - or a table")
    parser.add_argument("out", type=Path, metavar="OUT", nargs="?", help="answers to a table")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda or cuda:N")
    precisions = ("fp32", "fp16", "int8")
    parser.add_argument("--variant", choices=precisions, default="fp32", help="default: fp32")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as CPUs (default)")
    about = f"tokens packed together (default: {default})"
    parser.add_argument("--step-tokens", type=int, default=default, help=about)
    _add_table_arguments(parser.add_argument_group("tables"))


def _add_table_arguments(group: Any) -> None:
    many: dict[str, Any] = {"nargs": "+", "action": "extend", "default": []}
    group.add_argument("--keep", metavar="COLUMN", help="columns of FILE to carry over", **many)
    about = "the name that a column of the model has in FILE"
    group.add_argument("--rename", metavar="MODEL=FILE", help=about, **many)
    about = "a sequence for each value of this column; the needed columns are held in memory"
    group.add_argument("--group-by", metavar="KEY", help=about)
    about = "the column that orders the tokens of a KEY; default: as in FILE"
    group.add_argument("--order-by", metavar="TIME", help=about)


def run(args: argparse.Namespace) -> int:
    """Answer everything; progress goes to standard error."""
    from service.bundle import Bundle
    from service.tables.files import needs_pyarrow

    is_table = args.file.suffix in TABLES
    _check(args, is_table)
    if is_table:
        needs_pyarrow()
    bundle = Bundle.open(args.bundle)
    if is_table:
        _answer_table(args, bundle, _source(args, bundle))
    else:
        _answer_lines(args, _session(args, bundle))
    return 0


def _check(args: argparse.Namespace, is_table: bool) -> None:
    """RequestFileError for arguments that do not go together."""
    from service.errors import RequestFileError

    wrong = None
    if is_table and (args.out is None or args.out.suffix != ".parquet"):
        wrong = "the answers to a table need a file to go to, OUT, that ends in .parquet"
    elif is_table and args.out.resolve() == args.file.resolve():
        wrong = "the answers would take the place of the table"
    elif not is_table and (args.out or args.keep or args.rename or args.group_by):
        wrong = f"OUT and the options of tables are for files that end in {', '.join(TABLES)}"
    elif args.order_by and not args.group_by:
        wrong = "--order-by needs --group-by"
    if wrong:
        raise RequestFileError(f"{args.file}: {wrong}")


def _session(args: argparse.Namespace, bundle: Bundle) -> Session:
    from service.graph import Options
    from service.runtime import Threads
    from service.session import Session

    Threads.start(args.threads)
    return Session(bundle, Options(args.device, args.variant))


def _answer_lines(args: argparse.Namespace, session: Session) -> None:
    import sys

    from tqdm import tqdm

    from service.errors import RequestFileError
    from service.tables.lines import answered, batches, parse

    try:
        lines = sys.stdin.buffer if str(args.file) == "-" else args.file.open("rb")
    except OSError as error:
        raise RequestFileError(f"{args.file}: {error.strerror}") from error
    with lines:
        sequences = tqdm(parse(lines, session.manifest), "predict", unit="seq", disable=None)
        for batch in batches(sequences, args.step_tokens):
            for line in answered(session, batch):
                sys.stdout.buffer.write(line + b"\n")


def _source(args: argparse.Namespace, bundle: Bundle) -> Source:
    """The table as the bundle reads it, its columns checked before anything is run."""
    from service.errors import RequestFileError
    from service.tables.files import open_table
    from service.tables.grouped import GroupSource
    from service.tables.source import Names, RowSource

    renamed = [pair.partition("=") for pair in args.rename]
    for model, equals, file in renamed:
        if not (model and equals and file):
            raise RequestFileError(f"--rename {model}{equals}{file}: must be MODEL=FILE")
    names = Names.of(bundle.manifest, {model: file for model, _, file in renamed}, args.keep)
    table = open_table(args.file)
    if args.group_by:
        return GroupSource(table, names, args.group_by, args.order_by)
    return RowSource(table, names)


def _answer_table(args: argparse.Namespace, bundle: Bundle, source: Source) -> None:
    import sys

    from service.tables.job import Job

    before = Job(_session(args, bundle), source, args.step_tokens).run(
        args.out, _record(args, bundle)
    )
    if before:
        print(f"{args.out}: {before} rows were there from an earlier run", file=sys.stderr)


def _record(args: argparse.Namespace, bundle: Bundle) -> dict[str, Any]:
    """All that the answers are made from."""
    about = args.file.stat()
    options = ("device", "variant", "step_tokens", "keep", "rename", "group_by", "order_by")
    return {
        "bundle": bundle.manifest.digest or bundle.manifest.computed_digest(),
        "file": str(args.file.resolve()),
        "size": about.st_size,
        "modified": about.st_mtime_ns,
        **{option: getattr(args, option) for option in options},
    }
