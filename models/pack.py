"""A pack: sequences of unequal length laid end to end, without padding, as torch tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Pack:
    """N sequences with T tokens in all.

    tokens: (T, width) float vectors or (T,) ids; counts: (N, 2) each length n and log(1 + n);
    owner: (T,) index of the sequence each token belongs to, ascending.
    """

    tokens: Tensor
    counts: Tensor
    owner: Tensor

    @classmethod
    def of(cls, tokens: Tensor, lengths: Tensor) -> Pack:
        """Pack tokens that already lie end to end; ``lengths`` (N,) must add up to T."""
        assert int(lengths.sum()) == tokens.shape[0], "lengths do not add up to the tokens"
        owner = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
        dtype = tokens.dtype if tokens.is_floating_point() else torch.get_default_dtype()
        n = lengths.double()
        return cls(tokens, torch.stack([n, n.log1p()], dim=1).to(dtype), owner)

    @classmethod
    def of_sequences(cls, sequences: Sequence[np.ndarray]) -> Pack:
        """Lay arrays of shape (n, width) or (n,) end to end."""
        lengths = torch.tensor([len(s) for s in sequences], dtype=torch.int64)
        return cls.of(torch.from_numpy(np.concatenate(sequences)), lengths)

    def sum(self, rows: Tensor) -> Tensor:
        """Sum rows (T, k) per sequence -> (N, k); an empty sequence sums to zero."""
        total = torch.zeros(len(self.counts), rows.shape[1], dtype=rows.dtype, device=rows.device)
        return total.index_add(0, self.owner, rows)
