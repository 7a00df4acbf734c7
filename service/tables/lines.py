"""JSON lines, answered: each line is one sequence, as in a request's "sequences"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from service.checks import not_finite
from service.engine.starts import Runs
from service.errors import BadRequest, RequestFileError
from service.manifest import Manifest
from service.pack import Pack
from service.tables.steps import NO_LIMITS
from service.wires.document import Document
from service.wires.json_answer import answer, dumps
from service.wires.json_sequences import JsonSequences
from service.wires.validation import admit

SINGULAR = {"outputs": "output", "labels": "label", "probabilities": "probabilities"}

Line = tuple[int, Pack]  # its number, and its sequence


def parse(lines: Iterable[bytes], manifest: Manifest) -> Iterator[Line]:
    """Every line that is not blank. Raises RequestFileError naming the first that is bad."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield number, _sequence(line, manifest)
        except BadRequest as error:
            raise RequestFileError(f"line {number}: {error}") from error


def _sequence(line: bytes, manifest: Manifest) -> Pack:
    depth = NO_LIMITS.json_depth
    Document(line, depth)  # whole by itself: no brackets that would open or close ours
    document = Document(b'{"sequences":[' + line + b"]}", depth)
    return admit(JsonSequences(document, manifest, NO_LIMITS), manifest, NO_LIMITS)


def batches(lines: Iterable[Line], most_tokens: int) -> Iterator[list[Line]]:
    """Consecutive sequences of up to ``most_tokens`` tokens, and what came before an error."""
    batch: list[Line] = []
    tokens = 0
    try:
        for number, pack in lines:
            if batch and tokens + pack.tokens > most_tokens:
                yield batch
                batch, tokens = [], 0
            batch.append((number, pack))
            tokens += pack.tokens
    except RequestFileError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def answered(session: Runs, batch: list[Line]) -> Iterator[bytes]:
    """An answer per line, in order, up to one that JSON has no word for."""
    manifest, pack = session.manifest, Pack.join([pack for _, pack in batch])
    outputs = session.run(pack)
    fields = answer(manifest, pack.lengths, outputs)
    good, why = not_finite(manifest, pack.lengths, outputs)
    for i in range(good):
        yield dumps({SINGULAR[name]: values[i] for name, values in fields.items()})
    if why:
        raise RequestFileError(f"line {batch[good][0]}: {why}")
