"""Proof that a bundle answers what its checkpoint answers, through the session that will serve it.

The reference is the checkpoint's own forward in float64. Every case has lengths and pack sizes
never used while tracing. An error is |served - reference| over 1 + the largest |reference| of the
same sequence, so that no sequence can hide behind a larger one.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from tqdm import tqdm

from models.config import SumformerConfig, VectorInput
from models.embedding import VectorEmbedding
from models.pack import Pack as TorchPack
from models.sumformer import Sumformer
from service.errors import SumserveError
from service.pack import BLOCK, Array, Pack
from service.session import Session

REPEATS = 5
ALONE = 40
LONG = 200_000


class VerificationError(SumserveError):
    """The bundle does not answer what the checkpoint answers; no bundle is written."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The largest errors of one case; ``bitwise`` counts what is equal to the last bit."""

    case: str
    sequences: int
    tokens: int
    reference_error: float
    repeat_error: float
    permutation_error: float
    alone_error: float
    alone_bitwise: str

    def worst(self) -> float:
        """The largest of the errors."""
        return max(
            self.reference_error, self.repeat_error, self.permutation_error, self.alone_error
        )


def cases(config: SumformerConfig) -> dict[str, list[int]]:
    """Name -> lengths, only such as the model allows."""
    rng = np.random.default_rng(7)
    wild = np.exp(rng.normal(np.log(60), 1.6, 200)).astype(int).clip(1, 20_000).tolist()
    wanted = {
        "one token": [1],
        "one sequence": [37],
        "edges of blocks": [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 4095, 4096, 4097],
        "1000 of one token": [1] * 1000,
        "one long sequence": [LONG],
        "wildly mixed": [*wild[:100], LONG // 4, *wild[100:]],
        "empty": [0],
        "empty among others": [0, 5, 0, 0, 300, 1, 0],
    }
    allowed = {name: allowed_lengths(config, lengths) for name, lengths in wanted.items()}
    return {name: lengths for name, lengths in allowed.items() if lengths}


def allowed_lengths(config: SumformerConfig, lengths: Iterable[int]) -> list[int]:
    """Those of the lengths that the model allows."""
    longest = config.max_length or LONG
    return [n for n in lengths if config.min_length <= n <= longest]


class Verifier:
    """Holds a model in float64 against a session."""

    def __init__(self, model: Sumformer, session: Session) -> None:
        self._model, self._session = copy.deepcopy(model).double().eval(), session
        self._embed, self._column = model.embed, model.config.input
        self.output = session.manifest.outputs[0]

    def run(self) -> list[dict[str, object]]:
        """Check every case; VerificationError names the first that fails, and its numbers."""
        findings = []
        for name, lengths in tqdm(cases(self._model.config).items(), "verify", unit="case"):
            finding = self.check(name, lengths)
            if not finding.worst() <= self._session.manifest.tolerance:  # NaN fails too
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
        repeats = [self._error(self.serve(pack), served) for _ in range(REPEATS - 1)]
        alone = self._alone(pack, served, rng)
        return Finding(
            case=name,
            sequences=len(lengths),
            tokens=pack.tokens,
            reference_error=self._error(served, self._split(pack, self.reference(pack))),
            repeat_error=max(repeats),
            permutation_error=self._permuted(pack, served, rng),
            alone_error=max((error for error, _ in alone), default=0.0),
            alone_bitwise=f"{sum(equal for _, equal in alone)} of {len(alone)}",
        )

    def allowed(self, lengths: Iterable[int]) -> list[int]:
        """Those of the lengths that the model allows."""
        return allowed_lengths(self._model.config, lengths)

    def draw(self, lengths: list[int], rng: np.random.Generator) -> Pack:
        """Random tokens with the statistics the model was trained on."""
        tokens, column = sum(lengths), self._column
        if isinstance(column, VectorInput):
            assert isinstance(self._embed, VectorEmbedding)
            mean, std = self._embed.mean.numpy(), self._embed.std.numpy()
            values: Array = mean + std * rng.normal(size=(tokens, column.width))
            values = values.astype(np.float32)
        else:
            values = rng.integers(column.low, column.high + 1, tokens)
        return Pack({column.name: values}, np.array(lengths, np.int64))

    def reference(self, pack: Pack) -> Array:
        """The checkpoint's answer in float64: (T, width) or (N, width)."""
        tokens = torch.from_numpy(pack.columns[self._column.name])
        if tokens.is_floating_point():
            tokens = tokens.double()
        with torch.no_grad():
            made = TorchPack.of(tokens, torch.from_numpy(pack.lengths))
            made = replace(made, counts=made.counts.double())
            answer: Array = self._model(made).numpy()
        return answer

    def serve(self, pack: Pack) -> list[Array]:
        """The session's answer, per sequence."""
        return self._split(pack, self._session.run(pack)[self.output.name])

    def _split(self, pack: Pack, rows: Array) -> list[Array]:
        return pack.per_sequence(rows, self.output.per)

    def _error(self, found: list[Array], wanted: list[Array]) -> float:
        return max(map(sequence_error, found, wanted), default=0.0)

    def _permuted(self, pack: Pack, served: list[Array], rng: np.random.Generator) -> float:
        """Permute the tokens of every sequence: outputs must be permuted alike."""
        orders = [rng.permutation(n) for n in pack.lengths]
        name = self._column.name
        parts = pack.split(pack.columns[name])
        shuffled = Pack.of(name, [p[o] for p, o in zip(parts, orders, strict=True)])
        wanted = served
        if self.output.per == "token":
            wanted = [s[o] for s, o in zip(served, orders, strict=True)]
        return self._error(self.serve(shuffled), wanted)

    def _alone(
        self, pack: Pack, served: list[Array], rng: np.random.Generator
    ) -> list[tuple[float, bool]]:
        """Some sequences alone against the same sequences in the pack: (error, bitwise equal)."""
        name, count = self._column.name, len(pack.lengths)
        parts, found = pack.split(pack.columns[name]), []
        for i in rng.choice(count, min(count, ALONE), replace=False):
            alone = self.serve(Pack.of(name, [parts[i]]))[0]
            found.append((sequence_error(alone, served[i]), bool(np.array_equal(alone, served[i]))))
        return found


def sequence_error(found: Array, wanted: Array) -> float:
    """|found - wanted| over 1 + the largest |wanted| of the sequence; 0 for an empty one."""
    if found.shape != wanted.shape:
        return float("inf")
    scale = 1 + np.abs(wanted).max(initial=0.0)
    return float(np.abs(found.astype(np.float64) - wanted).max(initial=0.0) / scale)
