"""Proof that a wrapped model answers in a pack what its own graph answers alone, and unpadded.

There is no checkpoint to ask: the reference is the graph itself. Padding may change an answer by
rounding alone; what company changes is measured, and stated by the bundle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from export.cases import Case
from export.wrap_cases import cases, draw
from export.wrap_file import WrapError
from export.wrap_reference import Reference, one_line
from service.buckets import padded_lengths
from service.bundle import Golden
from service.manifest import Column, IdsColumn, PaddedStage
from service.pack import Array, Pack
from service.session import Session
from service.verification import Answers, allowed, answers, consistency, relative_errors

MOST_PADDING = 1e-4  # by which padding may change an answer
MOST_ISOLATION = 1e-3  # by which company may, four times over: rounding is far below it
LEAST_TOLERANCE, LEAST_ISOLATION, SLACK = 1e-5, 1e-6, 4.0
ALONE = 64  # sequences of a case that are run alone
GOLDEN_LENGTHS = [1, 2, 16, 17, 40, 100, 0]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one case showed, relative to each sequence's largest answer.

    padding: by how much the graph alone answers otherwise in its padded length than in its own, or
    with other values in the padding where its length is fixed; None where neither can be. error: by
    how much the pack's answers differ from those alone. Of ``tried`` runs in other company
    ``different`` were not the same to the last bit, by ``difference`` at most.
    """

    case: str
    sequences: int
    tokens: int
    longest: int
    padding: float | None
    error: float
    tried: int
    different: int
    difference: float


class WrapVerifier:
    """Holds a session against the graph that it wraps. points: lengths, and what padding changed
    and company changed there.
    """

    def __init__(
        self, reference: Reference, session: Session, fixed: Mapping[str, int], seed: int = 11
    ) -> None:
        self._reference, self._session, self._fixed = reference, session, fixed
        stage = session.manifest.stages[0]
        assert isinstance(stage, PaddedStage)
        self._stage, self._rng = stage, np.random.default_rng(seed)
        self._axes = {own.name: own.axes for own in stage.outputs}
        self._vary = False  # whether tokens were seen to change an answer
        self.points: list[tuple[int, float, float]] = []

    def run(self) -> Iterator[Finding]:
        """Every case in turn; WrapError when padding changes an answer, when one is not finite, and
        when tokens change none.
        """
        manifest = self._session.manifest
        every = cases(manifest, self._places(manifest.min_length))
        for case in tqdm(every, "verify", unit="case"):
            yield self.check(case)
        if not self._vary and any(map(_varies, manifest.columns)):
            raise WrapError(
                "tokens change no answer: sequences of one length are all answered alike (an "
                "inverted mask: say --pad MASK=1)"
            )

    def check(self, case: Case) -> Finding:
        """Every property of one pack."""
        pack = self._drawn(case.lengths)
        some = self._rng.permutation(len(pack.lengths))[:ALONE]
        few = pack.take(some)
        alone, found = self._alone(few), self._packed(pack)
        self._vary = self._vary or _differ(few, alone)
        padding = self._padding(few, alone)
        errors = _worst({name: [rows[i] for i in some] for name, rows in found.items()}, alone)
        shown = np.zeros_like(errors) if padding is None else padding
        self.points += zip(few.lengths.tolist(), shown.tolist(), errors.tolist(), strict=True)
        own = consistency(self._session, pack, self._rng, case.repetitions, ALONE)
        return Finding(
            case=case.name,
            sequences=len(pack.lengths),
            tokens=pack.tokens,
            longest=int(pack.lengths.max()),
            padding=None if padding is None else float(padding.max()),
            error=float(errors.max()),
            tried=own.tried,
            different=own.different,
            difference=own.error,
        )

    def golden(self) -> Golden:
        """Inputs for the bundle to be checked on anywhere, and the graph's answers alone."""
        manifest = self._session.manifest
        pack = self._drawn(allowed(manifest, GOLDEN_LENGTHS))
        alone, usual = self._alone(pack), np.ones(len(pack.lengths), bool)
        joins = {o.name: (np.concatenate, np.stack)[o.per != "token"] for o in manifest.outputs}
        outputs = {name: join(alone[name]) for name, join in joins.items()}
        return allowing(Golden(pack, outputs, {}, usual), LEAST_TOLERANCE)

    def _drawn(self, lengths: Sequence[int]) -> Pack:
        manifest = self._session.manifest
        return draw(manifest.columns, manifest.context, lengths, self._rng)

    def _places(self, tokens: int) -> int:
        """How long a sequence of so many tokens is once it is padded."""
        most = self._session.manifest.max_length or tokens
        return self._fixed.get("n") or min(int(padded_lengths(np.array(max(tokens, 1)))), most)

    def _alone(self, pack: Pack) -> Answers:
        """The graph's own answers to every sequence alone, padded; WrapError if not finite."""
        parts = _apart(pack)
        found = [self._reference.alone(p, self._places(p.tokens), self._axes) for p in parts]
        for part, answer in zip(parts, found, strict=True):
            for name, values in answer.items():
                if not np.isfinite(values).all():
                    raise WrapError(
                        f"output {name!r} is not finite at length {part.tokens:,} (an inverted "
                        "mask: say --pad MASK=1; ids that mean padding: leave them out of "
                        "--low-high)"
                    )
        return self._named(found)

    def _packed(self, pack: Pack) -> Answers:
        try:
            return answers(self._session, pack)
        except Exception as error:  # onnxruntime's own classes have no public base
            raise WrapError(f"the graph fails on a batch: {one_line(error)}") from error

    def _padding(self, pack: Pack, alone: Answers) -> Array | None:
        """(N,) by how much padding changes each answer; WrapError when that is too much."""
        masked = any(own.reads in ("mask", "lengths") for own in self._stage.inputs)
        if "n" in self._fixed and not masked:
            return None
        found = self._named([self._otherwise(sequence) for sequence in _apart(pack)])
        errors = _worst(alone, found)
        worst = int(np.argmax(np.where(np.isfinite(errors), errors, np.inf)))
        if not errors[worst] <= MOST_PADDING:
            n = int(pack.lengths[worst])
            raise WrapError(
                f"padding changes the answer: by {errors[worst]:.1e} of it at length {n:,} in "
                f"{self._places(n):,} places; the model must keep to a mask, to lengths or to the "
                "padding's own value (--mask, --lengths, --pad)"
            )
        return errors

    def _otherwise(self, sequence: Pack) -> dict[str, Array]:
        """One sequence without padding, or where its length is fixed with other padding."""
        n = sequence.tokens
        if "n" not in self._fixed:
            return self._reference.alone(sequence, n or self._places(n), self._axes)
        more = self._drawn([self._fixed["n"] - n])
        columns = {k: np.concatenate([v, more.columns[k]]) for k, v in sequence.columns.items()}
        filled = Pack(columns, np.array([self._fixed["n"]]), sequence.context)
        return self._reference.alone(filled, self._fixed["n"], self._axes, tokens=n)

    def _named(self, found: list[dict[str, Array]]) -> Answers:
        return {own.output: [one[own.name] for one in found] for own in self._stage.outputs}


def isolation(findings: Sequence[Finding], threads: float) -> float:
    """What a bundle states: 0 where not a bit differed, else several times the largest difference.

    threads: by how much another number of threads moved answers. WrapError above MOST_ISOLATION.
    """
    largest = float(np.max([threads, *(max(f.error, f.difference) for f in findings)]))
    if largest == 0 and not any(finding.different for finding in findings):
        return 0.0
    if not SLACK * largest <= MOST_ISOLATION:
        raise WrapError(
            f"what else is in a batch changes an answer by {largest:.1e} of it: its sequences are "
            "not independent, or the order of its axes is another (--axes, --output)"
        )
    return max(LEAST_ISOLATION, SLACK * largest)


def tolerance(findings: Sequence[Finding], isolated: float) -> float:
    """How far answers may be from the graph's own, alone."""
    padding = max(finding.padding or 0.0 for finding in findings)
    return max(LEAST_TOLERANCE, SLACK * padding, isolated)


def allowing(golden: Golden, error: float) -> Golden:
    """The same golden data with an error that its answers may have."""
    allowed = {name: np.full(len(golden.pack.lengths), error) for name in golden.outputs}
    return replace(golden, allowed=allowed)


def _varies(own: Column) -> bool:
    """Whether a column's values can differ at all."""
    return not isinstance(own, IdsColumn) or own.low < own.high


def _differ(pack: Pack, found: Answers) -> bool:
    """Whether two sequences of one length have different answers."""
    first = {int(n): i for i, n in reversed(list(enumerate(pack.lengths)))}
    return any(
        not np.array_equal(rows[i], rows[first[int(n)]])
        for rows in found.values()
        for i, n in enumerate(pack.lengths)
    )


def _apart(pack: Pack) -> list[Pack]:
    """Every sequence as a pack of its own."""
    return [pack.take(np.array([i])) for i in range(len(pack.lengths))]


def _worst(found: Answers, wanted: Answers) -> Array:
    """(N,) the largest error of each sequence over all outputs."""
    return np.asarray(np.max([relative_errors(found[n], wanted[n]) for n in wanted], axis=0))
