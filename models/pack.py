"""A pack: sequences of unequal length laid end to end, without padding, as torch tensors.

Everything that ever crosses tokens of a sequence is written here once: sums, sums of outer
products, maxima, and their way back to the tokens. Nothing crosses sequences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from models.precision import full_precision, wide

LARGEST_BLOCK, SMALLEST_BLOCK = 256, 8


@dataclass(frozen=True, eq=False)
class Pack:
    """N sequences with T tokens in all.

    columns: name -> (T, width) vectors, (T,) numbers, times or ids; context: name -> (N, ...) the
    same per sequence; lengths: (N,); dtype: of counts, and of what is computed.
    """

    columns: Mapping[str, Tensor]
    lengths: Tensor
    context: Mapping[str, Tensor] = field(default_factory=dict)
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        for name, column in self.columns.items():
            assert len(column) == self.tokens, f"{name}: {len(column)} rows, {self.tokens} tokens"

    @classmethod
    def of_sequences(cls, name: str, sequences: Sequence[np.ndarray]) -> Pack:
        """One column: arrays of shape (n, width) or (n,), end to end."""
        lengths = torch.tensor([len(s) for s in sequences], dtype=torch.int64)
        return cls({name: torch.from_numpy(np.concatenate(sequences))}, lengths)

    @cached_property
    def tokens(self) -> int:
        """T."""
        return int(self.lengths.sum())

    @property
    def sequences(self) -> int:
        """N."""
        return len(self.lengths)

    @cached_property
    def counts(self) -> Tensor:
        """(N, 2): each length n and log(1 + n)."""
        n = self.lengths.double()
        return torch.stack([n, n.log1p()], dim=1).to(self.dtype)

    @cached_property
    def owner(self) -> Tensor:
        """(T,) index of the sequence each token belongs to, ascending."""
        every = torch.arange(self.sequences, device=self.lengths.device)
        return torch.repeat_interleave(every, self.lengths)

    @cached_property
    def starts(self) -> Tensor:
        """(N,) index of each sequence's first token."""
        return torch.cumsum(self.lengths, 0) - self.lengths

    @cached_property
    def position(self) -> Tensor:
        """(T,) place of each token in its own sequence, from 0."""
        return torch.arange(self.tokens, device=self.lengths.device) - self.starts[self.owner]

    def to(self, device: torch.device | str) -> Pack:
        """The same pack on another device."""
        moved = {name: value.to(device) for name, value in self.columns.items()}
        context = {name: value.to(device) for name, value in self.context.items()}
        return replace(self, columns=moved, context=context, lengths=self.lengths.to(device))

    def double(self) -> Pack:
        """The same pack in float64."""
        wide = {k: v.double() if v.is_floating_point() else v for k, v in self.columns.items()}
        context = {k: v.double() if v.is_floating_point() else v for k, v in self.context.items()}
        return replace(self, columns=wide, context=context, dtype=torch.float64)

    def spread(self, rows: Tensor) -> Tensor:
        """(N, ...) -> (T, ...): to every token what belongs to its sequence."""
        return rows.index_select(0, self.owner)

    def first(self, rows: Tensor) -> Tensor:
        """(T, ...) -> (T, ...): to every token what its sequence's first token has."""
        return rows.index_select(0, self.starts[self.owner])

    def origin(self, name: str) -> Tensor:
        """(T, ...): to every token what its sequence's first token has in a column."""
        return self.first(self.columns[name])

    def sum(self, rows: Tensor) -> Tensor:
        """Sum rows (T, k) per sequence -> (N, k); an empty sequence sums to zero."""
        rows = wide(rows)
        total = rows.new_zeros(self.sequences, rows.shape[1])
        return total.index_add(0, self.owner, rows)

    def max(self, rows: Tensor) -> Tensor:
        """Largest of rows (T, ...) per sequence -> (N, ...); -inf for an empty one."""
        lowest = rows.new_full((self.sequences, *rows.shape[1:]), -torch.inf)
        index = self.owner.view(-1, *[1] * (rows.dim() - 1)).expand_as(rows)
        return lowest.scatter_reduce(0, index, rows, "amax")

    def outer(self, left: Tensor, right: Tensor) -> Tensor:
        """Sum of outer products: left (T, H, a), right (T, H, b) -> (N, H, a, b).

        Tokens are taken in blocks of one sequence each, so that it is matrix products
        left^T right, whatever the lengths; then the blocks of a sequence are added.
        """
        owner, a, b = self._blocks[1], self._blocked(wide(left)), self._blocked(wide(right))
        with full_precision(a):
            products = a.permute(0, 2, 3, 1) @ b.transpose(1, 2)
        total = products.new_zeros(self.sequences, *products.shape[1:])
        return total.index_add(0, owner, products)

    def apply(self, left: Tensor, matrices: Tensor) -> Tensor:
        """To every token its row times its sequence's matrix: (T, H, a), (N, H, a, b) -> (T, H, b).

        The way back from `outer`, in the same blocks.
        """
        out = self._blocked(left).transpose(1, 2) @ matrices.index_select(0, self._blocks[1])
        found = out.transpose(1, 2).flatten(0, 1)
        return found if self._whole else found.index_select(0, self._places)

    def _blocked(self, values: Tensor) -> Tensor:
        """values (T, H, k) -> (B, size, H, k), zero where there is no token."""
        rows = self._blocks[0]
        if not self._whole:
            padded = pad(values, (0, 0, 0, 0, 0, 1))
            values = padded.index_select(0, rows.flatten())
        return values.reshape(*rows.shape, *values.shape[1:])

    @cached_property
    def _blocks(self) -> tuple[Tensor, Tensor]:
        """rows (B, size): the tokens of each block, T where there is none; owner (B,)."""
        size = self._block_size
        blocks = (self.lengths + size - 1) // size
        every = torch.arange(self.sequences, device=self.lengths.device)
        owner = torch.repeat_interleave(every, blocks)
        number = torch.arange(len(owner), device=owner.device)
        number = number - (torch.cumsum(blocks, 0) - blocks)[owner]
        inside = number[:, None] * size + torch.arange(size, device=owner.device)
        rows = self.starts[owner][:, None] + inside
        return torch.where(inside < self.lengths[owner][:, None], rows, self.tokens), owner

    @cached_property
    def _places(self) -> Tensor:
        """(T,) where each token lies among the flattened rows of the blocks."""
        rows = self._blocks[0].flatten()
        return (rows < self.tokens).nonzero()[:, 0]

    @cached_property
    def _whole(self) -> bool:
        """Whether all blocks are full, so that they lie in the pack as they are."""
        return not bool((self.lengths % self._block_size).any())

    @cached_property
    def _block_size(self) -> int:
        """The length itself where all are equal and short; else a power of two near their mean."""
        shortest, longest = (int(n) for n in self.lengths.aminmax()) if self.sequences else (0, 0)
        if 0 < shortest == longest <= LARGEST_BLOCK:
            return longest
        mean = max(1, self.tokens // max(1, self.sequences))
        return min(LARGEST_BLOCK, max(SMALLEST_BLOCK, 1 << (mean - 1).bit_length()))
