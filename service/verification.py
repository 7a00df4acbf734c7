"""Holds a session's answers against what they should be, and against themselves.

What they should be is in the bundle: golden inputs, what the checkpoint answered in float64, and
how far off each may be. Against themselves: alone and packed, sliced otherwise, permuted, again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.bundle import Bundle, Golden
from service.elsewhere import run_elsewhere
from service.errors import BundleError
from service.manifest import FP32, Manifest, Output
from service.pack import BLOCK, Array, Pack
from service.runtime import Threads
from service.session import Session

THREADED = (8_192, *range(40))  # lengths that take whole slices, and short ones
MOST_TOKENS = 2**20  # of a sequence that is made up
BLIND = 1e-3  # what it counts to be off by all that an output varies
RESOLVED = 1e-6  # of its size: less is not told from a constant in float32
Answers = dict[str, list[Array]]  # output name -> one array per sequence


@dataclass(frozen=True, slots=True)
class Consistency:
    """How a session's answers to one pack compare with its own in other company.

    different, of tried: runs that were not the same to the last bit, of repetitions, slicings, and
    sequences run alone. error: the largest difference among them; permutation_error: after tokens
    were permuted, None where order matters.
    """

    tried: int
    different: int
    error: float
    permutation_error: float | None


def relative_errors(found: Sequence[Array], wanted: Sequence[Array]) -> Array:
    """(N,) of each sequence |found - wanted| over its largest |wanted|; inf where shapes differ.

    Sequences with smaller answers than half of them are measured by the median one. So an error
    hides neither behind a larger sequence nor behind a model whose answers are all small. Nor
    behind an offset or a larger number beside it: see `_unseen`.
    """
    if [f.shape for f in found] != [w.shape for w in wanted]:
        return np.full(max(1, len(wanted)), np.inf)
    scales = np.array([np.abs(w).max(initial=0.0) for w in wanted])
    some = np.array([w.size > 0 for w in wanted], bool)
    pairs = zip(found, wanted, strict=True)
    errors = np.array([np.abs(f - np.float64(w)).max(initial=0.0) for f, w in pairs])
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = errors / np.maximum(scales, np.median(scales[some]) if some.any() else 0.0)
    return np.maximum(np.where(errors == 0, 0.0, relative), _unseen(found, wanted))


def _unseen(found: Sequence[Array], wanted: Sequence[Array]) -> float:
    """The largest error of any number over how far that number varies, times BLIND.

    An output that always says the same, or leaves out a number, is off by all that it varies.
    """
    every = [np.atleast_2d(rows) for rows in wanted if rows.size]
    if sum(map(len, every)) < 2:
        return 0.0
    right = np.concatenate(every).astype(np.float64)
    given = np.concatenate([np.atleast_2d(rows) for rows in found if rows.size])
    varies = np.abs(right - right.mean(0)).max(0)
    tells = varies > RESOLVED * np.abs(right).max(0)
    errors = np.abs(given - right).max(0)[tells] / varies[tells]
    return BLIND * float(errors.max(initial=0.0))


def largest_error(found: Answers, wanted: Answers) -> float:
    """The largest of all outputs' and sequences' `relative_errors`."""
    return float(np.max([relative_errors(found[n], wanted[n]).max(initial=0.0) for n in wanted]))


def answers(session: Session, pack: Pack, slice_tokens: int | None = None) -> Answers:
    """A session's answers, per sequence."""
    return per_sequence(session.manifest.outputs, pack, session.run(pack, slice_tokens))


def per_sequence(outputs: Sequence[Output], pack: Pack, rows: dict[str, Array]) -> Answers:
    """Rows of a pack -> one array per sequence."""
    return {o.name: pack.per_sequence(rows[o.name], o.per) for o in outputs}


def check_golden(bundle: Bundle, session: Session, golden: Golden | None = None) -> float:
    """The largest error over usual golden answers; BundleError when any is above what it may be.

    golden: the bundle's, where it has been read before.
    """
    golden = golden or bundle.golden()
    found = _tried(bundle, session, golden.pack)
    wanted = per_sequence(bundle.manifest.outputs, golden.pack, golden.outputs)
    worst = 0.0
    for name in wanted:
        error = relative_errors(found[name], wanted[name])
        most = _allowed(golden, name, session)
        bad = np.flatnonzero(~(error <= most))
        if len(bad):
            i = int(bad[0])
            raise BundleError(
                f"{bundle.folder}: golden output {name!r} of sequence {i} is missed by "
                f"{error[i]:.1e}, allowed is {most[i]:.1e}"
            )
        worst = max(worst, float(error[golden.usual].max(initial=0.0)))
    return worst


def _allowed(golden: Golden, name: str, session: Session) -> Array:
    """(N,) how large errors may be; of unusual values in lower precision, anything."""
    if session.variant is None:
        return golden.allowed[name]
    return np.where(golden.usual, session.tolerance, np.inf)


def _tried(bundle: Bundle, session: Session, pack: Pack) -> Answers:
    """Answers to golden inputs; whatever a graph that is not what it should be raises, named."""
    try:
        return answers(session, pack)
    except Exception as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        raise BundleError(f"{bundle.folder}: cannot run its golden inputs: {what}") from error


def check_company(bundle: Bundle, session: Session, tokens: int) -> int:
    """How many runs in other company gave the same answers; BundleError when one did not.

    Sequences of golden tokens, the longest of so many. The same to the last bit, and with another
    number of threads too, where a session promises that.
    """
    manifest, rng, runs = bundle.manifest, np.random.default_rng(0), 0
    golden = bundle.golden()
    pool = golden.pack.take(np.flatnonzero(golden.usual))
    for wanted, repetitions in (([tokens], 20), (_mixed(tokens, rng), 2)):
        lengths = allowed(manifest, wanted)
        if max(lengths) > max(tokens, MOST_TOKENS):
            raise BundleError(f"{bundle.folder}: needs sequences of {manifest.min_length} tokens")
        found = consistency(session, resample(pool, lengths, rng), rng, repetitions, alone=32)
        runs += found.tried
        in_order = (found.permutation_error or 0.0) <= session.tolerance
        isolated = found.error <= session.isolation if session.isolation else not found.different
        if not (in_order and isolated):
            raise BundleError(f"{bundle.folder}: answers depend on company: {found}")
    if session.isolation:
        return runs
    return runs + other_threads(bundle, session, resample(pool, allowed(manifest, THREADED), rng))


def _mixed(longest: int, rng: np.random.Generator) -> list[int]:
    return [*range(min(40, longest + 1)), *rng.integers(0, min(2000, longest) + 1, 60).tolist()]


def other_threads(bundle: Bundle, session: Session, pack: Pack) -> int:
    """1, where another number of threads gives the same answers; BundleError where it does not."""
    here = Threads.start()
    other = 1 if here > 1 else 2
    variant = session.variant.name if session.variant else FP32
    mine, theirs = session.run(pack), run_elsewhere(bundle.folder, other, pack, variant)
    for name, rows in mine.items():
        if not np.array_equal(rows, theirs[name]):
            raise BundleError(
                f"{bundle.folder}: output {name!r} differs between {here} and {other} threads"
            )
    return 1


def allowed(manifest: Manifest, lengths: Sequence[int]) -> list[int]:
    """The lengths, brought into the range that a bundle takes."""
    most = manifest.max_length
    return [max(min(n, n if most is None else most), manifest.min_length) for n in lengths]


def resample(pool: Pack, lengths: Sequence[int], rng: np.random.Generator) -> Pack:
    """Sequences of any lengths, of tokens drawn from a pool; their context from its sequences."""
    tokens = rng.integers(0, max(1, pool.tokens), sum(lengths))
    sequences = rng.integers(0, len(pool.lengths), len(lengths))
    columns = {name: values[tokens] for name, values in pool.columns.items()}
    context = {name: values[sequences] for name, values in pool.context.items()}
    return Pack(columns, np.array(lengths, np.int64), context)


def consistency(
    session: Session, pack: Pack, rng: np.random.Generator, repetitions: int, alone: int
) -> Consistency:
    """Run a pack again, sliced otherwise, sequence by sequence and permuted."""
    first, slices = answers(session, pack), (5 * BLOCK, 4096)
    again = [answers(session, pack) for _ in range(repetitions)]
    again += [answers(session, pack, slice_tokens) for slice_tokens in slices]
    chosen = rng.choice(len(pack.lengths), min(len(pack.lengths), alone), replace=False)
    single = [answers(session, pack.take(np.array([i]))) for i in chosen]
    together = {name: [rows[i] for i in chosen] for name, rows in first.items()}
    apart = {name: [own[name][0] for own in single] for name in first}
    same = [_equal(found, first) for found in again]
    same += [
        _equal(own, {name: [rows[i]] for name, rows in first.items()})
        for own, i in zip(single, chosen, strict=True)
    ]
    pairs = [(found, first) for found in again] + [(apart, together)]
    return Consistency(
        tried=len(same),
        different=len(same) - sum(same),
        error=float(np.max([largest_error(found, wanted) for found, wanted in pairs])),
        permutation_error=_permuted(session, pack, first, rng),
    )


def _equal(found: Answers, wanted: Answers) -> bool:
    pairs = (zip(found[name], wanted[name], strict=True) for name in wanted)
    return all(np.array_equal(f, w) for every in pairs for f, w in every)


def _permuted(
    session: Session, pack: Pack, first: Answers, rng: np.random.Generator
) -> float | None:
    """The largest error after the tokens of every sequence were permuted, and outputs alike."""
    if not session.manifest.equivariant:
        return None
    orders = [rng.permutation(n) for n in pack.lengths]
    starts = np.cumsum(pack.lengths) - pack.lengths
    tokens = np.concatenate([s + o for s, o in zip(starts, orders, strict=True)])
    columns = {name: values[tokens] for name, values in pack.columns.items()}
    shuffled = Pack(columns, pack.lengths, pack.context)
    wanted = {
        o.name: [rows[order] for rows, order in zip(first[o.name], orders, strict=True)]
        if o.per == "token"
        else first[o.name]
        for o in session.manifest.outputs
    }
    return largest_error(answers(session, shuffled), wanted)
