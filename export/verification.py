"""Proof that a bundle answers what its checkpoint answers, through the session that will serve it.

The reference is the checkpoint's own forward in float64. Some models and some inputs are
ill-conditioned, so an error may reach a few times what the checkpoint itself makes in float32 with
exact sums. That neighbours, slices, repetition and threads change nothing is held to the last bit.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from export.cases import Case, Effort, allowed, cases
from export.draw import UNUSUAL, unusual, usual
from models.model import Model
from models.pack import Pack as TorchPack
from service.bundle import Golden
from service.errors import SumserveError
from service.pack import Array, Pack
from service.session import Session
from service.verification import (
    Answers,
    answers,
    consistency,
    largest_error,
    per_sequence,
    relative_errors,
    resample,
)

LEAST_TOLERANCE = 1e-5
SLACK = 4.0  # times the checkpoint's own error in float32, with exact sums
MOST_ALLOWED = 0.1
ALONE = 32  # sequences of a case that are run alone
POOL_LENGTHS = [64] * 64
GOLDEN_LENGTHS = [1, 2, 16, 17, 40, 100, 0]
KINDS = (*UNUSUAL, "constant")


class ExactSums(TorchPack):
    """A pack that sums in float64, as a session does."""

    def sum(self, rows: Tensor) -> Tensor:
        """Sum rows (T, k) per sequence -> (N, k)."""
        return super().sum(rows.double()).to(rows.dtype)

    def outer(self, left: Tensor, right: Tensor) -> Tensor:
        """Sum of outer products: left (T, H, a), right (T, H, b) -> (N, H, a, b)."""
        return super().outer(left.double(), right.double()).to(right.dtype)


class VerificationError(SumserveError):
    """The bundle does not answer what the checkpoint answers; no bundle is written."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one case showed.

    error: the largest against the checkpoint in float64, and what it may be; own_error: the same of
    the checkpoint in float32, as torch sums. Of ``tried`` runs in other company ``different`` were
    not the same to the last bit, by ``difference`` at most. permutation_error: after tokens were
    permuted, None where order matters.
    """

    case: str
    sequences: int
    tokens: int
    longest: int
    error: float
    allowed: float
    own_error: float
    tried: int
    different: int
    difference: float
    permutation_error: float | None

    def holds(self) -> bool:
        """Whether errors keep to what they may be, and company changes nothing at all."""
        permuted = self.permutation_error or 0.0
        return self.error <= self.allowed and permuted <= self.allowed and self.different == 0


class Verifier:
    """Holds a model against a session."""

    def __init__(self, model: Model, session: Session, effort: Effort) -> None:
        self._exact = copy.deepcopy(model).double().eval()
        self._single = copy.deepcopy(model).float().eval()
        self._session, self._effort, self._shape = session, effort, model.config.signature
        self._rng = np.random.default_rng(11)
        self._pool = usual(model, self._lengths(POOL_LENGTHS), self._rng)
        self.tolerance = LEAST_TOLERANCE
        plain = resample(self._pool, self._lengths(list(range(1, 101))), self._rng)
        self.tolerance = self._allowed(plain, self.reference(plain))

    def run(self) -> Iterator[Finding]:
        """Every case in turn; VerificationError names the first that fails, and its figures."""
        every = cases(self._shape, self._effort)
        for case in tqdm(every, "verify", unit="case"):
            pack = resample(self._pool, case.lengths, self._rng)
            yield _held(self.check(case, pack))
        plain = resample(self._pool, self._lengths(GOLDEN_LENGTHS), self._rng)
        for kind in KINDS:
            pack = unusual(plain, self._shape, kind)
            yield _held(self.check(Case(f"{kind} values", pack.lengths.tolist()), pack))

    def check(self, case: Case, pack: Pack) -> Finding:
        """Every property of one pack."""
        wanted, found = self.reference(pack), answers(self._session, pack)
        own = consistency(self._session, pack, self._rng, case.repetitions, ALONE)
        return Finding(
            case=case.name,
            sequences=len(pack.lengths),
            tokens=pack.tokens,
            longest=int(pack.lengths.max(initial=0)),
            error=largest_error(found, wanted),
            allowed=self._allowed(pack, wanted),
            own_error=largest_error(self.own(pack, TorchPack), wanted),
            tried=own.tried,
            different=own.different,
            difference=own.error,
            permutation_error=own.permutation_error,
        )

    def golden(self) -> Golden:
        """Inputs for the bundle to be checked on anywhere, usual and unusual, and the answers."""
        plain = resample(self._pool, self._lengths(GOLDEN_LENGTHS), self._rng)
        few = resample(self._pool, self._lengths([3, 20]), self._rng)
        pack = Pack.join([plain, *(unusual(few, self._shape, kind) for kind in KINDS)])
        wanted, own = self.reference(pack), self.own(pack, ExactSums)
        errors = {name: relative_errors(own[name], wanted[name]) for name in wanted}
        double, usual = torch_pack(pack).double(), np.arange(len(pack.lengths)) < len(plain.lengths)
        return Golden(
            pack,
            {k: v.astype(np.float32) for k, v in _forward(self._exact, double).items()},
            {n: np.clip(SLACK * e, self.tolerance, MOST_ALLOWED) for n, e in errors.items()},
            usual,
        )

    def _allowed(self, pack: Pack, wanted: Answers) -> float:
        """What the error over a pack may be: never less than over sequences of up to 100 tokens.

        Never more than MOST_ALLOWED either, whatever the checkpoint makes of it in float32.
        """
        own = SLACK * largest_error(self.own(pack, ExactSums), wanted)
        return min(MOST_ALLOWED, max(self.tolerance, own))

    def reference(self, pack: Pack) -> Answers:
        """The checkpoint's answers in float64."""
        return self._split(pack, _forward(self._exact, torch_pack(pack).double()))

    def own(self, pack: Pack, kind: type[TorchPack]) -> Answers:
        """The checkpoint's answers in float32, with torch's sums or exact ones."""
        return self._split(pack, _forward(self._single, torch_pack(pack, kind)))

    def _split(self, pack: Pack, rows: dict[str, Array]) -> Answers:
        return per_sequence(self._session.manifest.outputs, pack, rows)

    def _lengths(self, wanted: list[int]) -> list[int]:
        return allowed(self._shape, wanted, self._effort)


def _held(finding: Finding) -> Finding:
    if not finding.holds():
        raise VerificationError(f"verification failed: {finding}")
    return finding


def torch_pack(pack: Pack, kind: type[TorchPack] = TorchPack) -> TorchPack:
    """The same pack for a model."""
    columns = {name: torch.from_numpy(values) for name, values in pack.columns.items()}
    context = {name: torch.from_numpy(values) for name, values in pack.context.items()}
    return kind(columns, torch.from_numpy(pack.lengths), context)


def _forward(model: Model, pack: TorchPack) -> dict[str, Array]:
    with torch.no_grad():
        return {name: rows.numpy() for name, rows in model(pack).items()}
