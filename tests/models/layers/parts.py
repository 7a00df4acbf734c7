"""Sequences in parts, as they are met by who works off long ones in steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from models.pack import Pack


@dataclass(frozen=True, eq=False, kw_only=True)
class Part(Pack):
    """A part of each sequence: ``before`` (N,) tokens came before it, and positions go on there.

    ``whole`` (N,) are the lengths of the whole sequences: given where a summary of them is read.
    """

    before: Tensor
    whole: Tensor | None = None

    @property
    def position(self) -> Tensor:
        return torch.arange(self.tokens) - self.starts[self.owner] + self.before[self.owner]

    @property
    def counts(self) -> Tensor:
        n = (self.lengths if self.whole is None else self.whole).double()
        return torch.stack([n, n.log1p()], dim=1)


def cut(hidden: Tensor, lengths: Sequence[int], cuts: Sequence[int]) -> list[tuple[Tensor, Part]]:
    """hidden (T, w) -> tokens and Part before the first cut, between two, and after the last.

    Cuts ascend and count tokens from the start of each sequence, of which there may be fewer.
    """
    places = [0, *cuts, max(lengths, default=0)]
    pieces, found = hidden.split(list(lengths)), []
    for begin, end in pairwise(places):
        own = [piece[begin:end] for piece in pieces]
        counts, tokens = torch.tensor([len(piece) for piece in own]), torch.cat(own)
        before = torch.tensor([min(begin, n) for n in lengths])
        part = Part(columns={"x": tokens}, lengths=counts, dtype=hidden.dtype, before=before)
        found.append((tokens, part))
    return found


def joined(rows: Sequence[Tensor], parts: Sequence[Part]) -> Tensor:
    """Rows of the tokens of every part -> of the whole sequences, (T, w): the way back."""
    each = [part.split(own.lengths.tolist()) for part, own in zip(rows, parts, strict=True)]
    return torch.cat([torch.cat(sequence) for sequence in zip(*each, strict=True)])
