"""Proof that a bundle answers what its checkpoint answers, through the session that will serve it.

The reference is the checkpoint's own forward in float64. Every case has lengths and pack sizes
never used while tracing; errors are those of `largest_error`. Alone and in a pack a sequence's
answer must be the same to the last bit.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from tqdm import tqdm

from models.embedding import Standardised
from models.model import Model
from models.pack import Pack as TorchPack
from models.signature import IdsColumn, Signature
from service.errors import SumserveError
from service.pack import BLOCK, Array, Pack
from service.session import Session
from service.verification import largest_error

REPEATS = 5
ALONE = 100
LONG = 200_000
MOST_TOKENS = 400_000


class VerificationError(SumserveError):
    """The bundle does not answer what the checkpoint answers; no bundle is written."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The largest errors of one case; how many sequences ran alone, and how many came out equal."""

    case: str
    sequences: int
    tokens: int
    reference_error: float
    repeat_error: float
    permutation_error: float
    alone: int
    alone_equal: int

    def worst(self) -> float:
        """The largest of the errors; NaN when one is."""
        return float(np.max([self.reference_error, self.repeat_error, self.permutation_error]))

    def holds(self, tolerance: float) -> bool:
        """Whether errors keep to the tolerance, and neighbours change nothing at all."""
        return self.worst() <= tolerance and self.alone_equal == self.alone


def cases(shape: Signature) -> dict[str, list[int]]:
    """Name -> lengths, brought into the range that the model allows."""
    rng = np.random.default_rng(7)
    wild = np.exp(rng.normal(np.log(60), 1.6, 200)).astype(int).clip(1, 20_000).tolist()
    wanted = {
        "one token": [1],
        "one sequence": [37],
        "every length to 100": list(range(1, 101)),
        "edges of blocks": [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 4095, 4096, 4097],
        "1000 of one token": [1] * 1000,
        "one long sequence": [LONG],
        "wildly mixed": [*wild[:100], LONG // 4, *wild[100:]],
    }
    if shape.min_length == 0:
        wanted |= {"empty": [0], "empty among others": [0, 5, 0, 0, 300, 1, 0]}
    return {name: allowed_lengths(shape, lengths) for name, lengths in wanted.items()}


def allowed_lengths(shape: Signature, lengths: Iterable[int]) -> list[int]:
    """The lengths brought into the model's range; at least one, and few when they are long."""
    longest = shape.max_length or max(LONG, shape.min_length)
    found = [min(max(n, shape.min_length), longest) for n in lengths]
    while len(found) > 1 and sum(found) > MOST_TOKENS:
        found.pop()
    return found


class Verifier:
    """Holds a model in float64 against a session."""

    def __init__(self, model: Model, session: Session) -> None:
        self._model, self._session = copy.deepcopy(model).double().eval(), session
        self.shape, self._column = model.config.signature, model.config.signature.columns[0]
        self.output = session.manifest.outputs[0]

    def run(self) -> list[dict[str, object]]:
        """Check every case; VerificationError names the first that fails, and its numbers."""
        findings = []
        for name, lengths in tqdm(cases(self.shape).items(), "verify", unit="case"):
            finding = self.check(name, lengths)
            if not finding.holds(self._session.manifest.tolerance):
                raise VerificationError(
                    f"verification failed, tolerance {self._session.manifest.tolerance}: {finding}"
                )
            findings.append(asdict(finding))
        return findings

    def check(self, name: str, lengths: list[int]) -> Finding:
        """Every property of one case."""
        rng = np.random.default_rng(11)
        pack = self.draw(lengths, rng)
        served = self.serve(pack)
        repeats = [largest_error(self.serve(pack), served) for _ in range(REPEATS - 1)]
        equal = self._alone(pack, served, rng)
        return Finding(
            case=name,
            sequences=len(lengths),
            tokens=pack.tokens,
            reference_error=largest_error(served, self._split(pack, self.reference(pack))),
            repeat_error=max(repeats),
            permutation_error=self._permuted(pack, served, rng),
            alone=len(equal),
            alone_equal=sum(equal),
        )

    def draw(self, lengths: list[int], rng: np.random.Generator) -> Pack:
        """Random tokens with the statistics the model was trained on."""
        tokens, column = sum(lengths), self._column
        if isinstance(column, IdsColumn):
            values: Array = rng.integers(column.low, column.high + 1, tokens)
        else:
            scale = self._model.embed.columns.columns[0]
            assert isinstance(scale, Standardised)
            mean, std = scale.mean.numpy(), scale.std.numpy()
            values = (mean + std * rng.normal(size=(tokens, scale.width))).astype(np.float32)
        return Pack({column.name: values}, np.array(lengths, np.int64))

    def reference(self, pack: Pack) -> Array:
        """The checkpoint's answer in float64: (T, width) or (N, width)."""
        columns = {name: torch.from_numpy(values) for name, values in pack.columns.items()}
        with torch.no_grad():
            made = TorchPack(columns, torch.from_numpy(pack.lengths)).double()
            answer: Array = self._model(made)[self.output.name].numpy()
        return answer

    def serve(self, pack: Pack) -> list[Array]:
        """The session's answer, per sequence."""
        return self._split(pack, self._session.run(pack)[self.output.name])

    def _split(self, pack: Pack, rows: Array) -> list[Array]:
        return pack.per_sequence(rows, self.output.per)

    def _permuted(self, pack: Pack, served: list[Array], rng: np.random.Generator) -> float:
        """Permute the tokens of every sequence: outputs must be permuted alike."""
        orders = [rng.permutation(n) for n in pack.lengths]
        name = self._column.name
        parts = pack.split(pack.columns[name])
        shuffled = Pack.of(name, [p[o] for p, o in zip(parts, orders, strict=True)])
        wanted = served
        if self.output.per == "token":
            wanted = [s[o] for s, o in zip(served, orders, strict=True)]
        return largest_error(self.serve(shuffled), wanted)

    def _alone(self, pack: Pack, served: list[Array], rng: np.random.Generator) -> list[bool]:
        """Some sequences alone against the same sequences in the pack: equal to the last bit?"""
        name, count = self._column.name, len(pack.lengths)
        parts = pack.split(pack.columns[name])
        chosen = rng.choice(count, min(count, ALONE), replace=False)
        return [np.array_equal(self.serve(Pack.of(name, [parts[i]]))[0], served[i]) for i in chosen]
