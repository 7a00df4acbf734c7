"""Run a bundle over a file without a server: JSON lines in, JSON lines out.

    echo '[[0,0,5],[3,4,16]]' | sumserve predict deploy/bundles/digits/1 -

Each input line is one sequence as in a request's "sequences": a list of vectors or of ids. Each
output line is {"output": ...}, with "label" and "probabilities" for a classifier, in order. A bad
line stops the run with its number; the lines before it have been answered. `-` is standard input.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.manifest import Manifest
    from service.pack import Array
    from service.session import Session

SUMMARY = "run a bundle over a file of JSON lines"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to run, on what."""
    from service.settings import Settings

    default = Settings.model_fields["step_tokens"].default
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="bundle folder")
    parser.add_argument("file", type=Path, metavar="FILE", help="JSON lines, or - for stdin")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
    precisions = ("fp32", "fp16", "int8")
    parser.add_argument("--variant", choices=precisions, default="fp32", help="default: fp32")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as CPUs (default)")
    about = f"tokens packed together (default: {default})"
    parser.add_argument("--step-tokens", type=int, default=default, help=about)


def run(args: argparse.Namespace) -> int:
    """Answer every line on standard output; progress goes to standard error."""
    import sys

    from tqdm import tqdm

    from service.bundle import Bundle
    from service.errors import RequestFileError
    from service.graph import Options
    from service.runtime import Threads
    from service.session import Session
    from service.wire import carried

    bundle = Bundle.open(args.bundle)
    carried(bundle.manifest)
    Threads.start(args.threads)
    session = Session(bundle, Options(args.device, args.variant))
    try:
        lines = sys.stdin.buffer if str(args.file) == "-" else args.file.open("rb")
    except OSError as error:
        raise RequestFileError(f"{args.file}: {error.strerror}") from error
    with lines:
        sequences = tqdm(_parse(lines, bundle.manifest), "predict", unit="seq", disable=None)
        for batch in _batches(sequences, args.step_tokens):
            for line in _answers(session, batch):
                sys.stdout.buffer.write(line + b"\n")
    return 0


def _parse(lines: Iterable[bytes], manifest: Manifest) -> Iterator[tuple[int, Array]]:
    """Line number and sequence of every line that is not blank."""
    from service.errors import BadRequest, RequestFileError
    from service.wire import decode

    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            sequences = decode(b'{"sequences":[' + line + b"]}", manifest, max_tokens=10**9)
        except BadRequest as error:
            raise RequestFileError(f"line {number}: {error}") from error
        if len(sequences) != 1:
            raise RequestFileError(f"line {number}: {len(sequences)} sequences, a line holds one")
        yield number, sequences[0]


def _batches(
    sequences: Iterable[tuple[int, Array]], most_tokens: int
) -> Iterator[list[tuple[int, Array]]]:
    """Consecutive sequences of up to ``most_tokens`` tokens, and what came before an error."""
    from service.errors import RequestFileError

    batch: list[tuple[int, Array]] = []
    tokens = 0
    try:
        for number, sequence in sequences:
            if batch and tokens + len(sequence) > most_tokens:
                yield batch
                batch, tokens = [], 0
            batch.append((number, sequence))
            tokens += len(sequence)
    except RequestFileError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def _answers(session: Session, batch: list[tuple[int, Array]]) -> Iterator[bytes]:
    """One output line per sequence, in order."""
    from service.answer import answer_fields, dumps
    from service.errors import BadRequest, RequestFileError
    from service.pack import Pack

    manifest = session.manifest
    pack = Pack.of(manifest.columns[0].name, [sequence for _, sequence in batch])
    found = session.run(pack)
    rows = {o.name: pack.per_sequence(found[o.name], o.per) for o in manifest.outputs}
    singular = {"outputs": "output", "labels": "label", "probabilities": "probabilities"}
    for i, (number, _) in enumerate(batch):
        try:
            fields = answer_fields(manifest, {name: [values[i]] for name, values in rows.items()})
        except BadRequest as error:
            raise RequestFileError(f"line {number}: {error}") from error
        yield dumps({singular[name]: values[0] for name, values in fields.items()})
