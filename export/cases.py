"""What a bundle is verified on: lengths and numbers of sequences that were never traced."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from models.signature import Signature
from service.pack import BLOCK


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to verify: the longest sequence, the largest pack, and how often races may show."""

    longest: int
    sequences: int
    race_tokens: int
    repetitions: int


FULL = Effort(longest=1_000_000, sequences=4_096, race_tokens=131_072, repetitions=20)
QUICK = Effort(longest=10_000, sequences=256, race_tokens=16_384, repetitions=3)
EFFORTS = {"full": FULL, "quick": QUICK}


@dataclass(frozen=True, slots=True)
class Case:
    """Sequences of these lengths, run again so many times."""

    name: str
    lengths: list[int]
    repetitions: int = 1


def cases(shape: Signature, effort: Effort) -> list[Case]:
    """All cases, with lengths that the model allows."""
    rng = np.random.default_rng(7)
    wild = np.exp(rng.normal(np.log(60), 1.6, 200)).astype(int).clip(1, 20_000).tolist()
    wanted = [
        Case("every length to 100", list(range(1, 101))),
        Case("edges of blocks", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 4095, 4096, 4097]),
        Case("many of one token", [1] * effort.sequences),
        Case("wildly mixed", [*wild[:100], min(50_000, effort.longest), *wild[100:]]),
        Case("races", [effort.race_tokens], effort.repetitions),
    ]
    if shape.min_length == 0:
        wanted.append(Case("empty among others", [0, 5, 0, 0, 300, 1, 0]))
    wanted += [Case(f"one of {n:,}", [n]) for n in _series(shape, effort.longest)]
    return [Case(c.name, allowed(shape, c.lengths, effort), c.repetitions) for c in wanted]


def _series(shape: Signature, longest: int) -> list[int]:
    """Lengths from the shortest to the longest, two to a power of ten."""
    least, most = shape.min_length, min(longest, shape.max_length or longest)
    steps = [round(10 ** (i / 2)) for i in range(13)]
    return sorted({least, most, *(n for n in steps if least < n < most)})


def allowed(shape: Signature, lengths: Iterable[int], effort: Effort) -> list[int]:
    """The lengths brought into the model's range; at least one, and few when they are long."""
    longest = shape.max_length or max(effort.longest, shape.min_length)
    found = [min(max(n, shape.min_length), longest) for n in lengths]
    while len(found) > 1 and sum(found) > 2 * effort.longest:
        found.pop()
    return found
