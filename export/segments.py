"""A slice of a pack inside an exported graph: what stages sum over, and what they read.

The interfaces that `models.pack.Pack` offers in training, over the inputs that a session feeds.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from service.names import COLUMN, FIRST
from service.pack import BLOCK


class Sequences:
    """The sequences of a slice, as embeddings and readouts see them: `Tokens` and `Segments`.

    given: the slice's inputs by name; `service.names` says what each is.
    """

    def __init__(self, given: Mapping[str, Tensor]) -> None:
        self._given = given

    @property
    def columns(self) -> dict[str, Tensor]:
        """name -> (T, ...)."""
        named = {k: v for k, v in self._given.items() if k.startswith(COLUMN)}
        return {name.removeprefix(COLUMN): values for name, values in named.items()}

    @property
    def counts(self) -> Tensor:
        """(N, 2): n and log(1 + n)."""
        return self._given["count"]

    @property
    def position(self) -> Tensor:
        """(T,) place of each token in its own sequence."""
        return self._given["position"]

    def origin(self, name: str) -> Tensor:
        """(T,): to every token what its sequence's first token has in a column."""
        return self.spread(self._given[FIRST + name])

    def spread(self, rows: Tensor) -> Tensor:
        """(N, ...) -> (T, ...)."""
        return rows.index_select(0, self._given["owner"])

    def apply(self, left: Tensor, matrices: Tensor) -> Tensor:
        """(T, H, a), (N, H, a, b) -> (T, H, b), block by block."""
        blocks = _gather(left, self._given["rows"], 0.0).transpose(1, 2)
        read = blocks @ matrices.index_select(0, self._given["block"])
        return read.transpose(1, 2).flatten(0, 1).index_select(0, self._given["places"])


class Blocks:
    """Blocks of up to BLOCK tokens as segments: what a contribution is summed over."""

    def __init__(self, given: Mapping[str, Tensor]) -> None:
        self._given = given

    @property
    def counts(self) -> Tensor:
        """(B, 1): the number of tokens."""
        return self._given["sizes"]

    @property
    def position(self) -> Tensor:
        """(T,) place of each token in its own sequence."""
        return self._given["position"]

    def spread(self, rows: Tensor) -> Tensor:
        """(B, ...) -> (T, ...)."""
        return rows.index_select(0, self._given["places"] // BLOCK)

    def sum(self, rows: Tensor) -> Tensor:
        """(T, k) -> (B, k)."""
        return _gather(rows, self._given["rows"], 0).sum(dim=1)

    def max(self, rows: Tensor) -> Tensor:
        """(T, ...) -> (B, ...); -inf for an empty block."""
        return _gather(rows, self._given["rows"], -torch.inf).amax(dim=1)

    def outer(self, left: Tensor, right: Tensor) -> Tensor:
        """(T, H, a), (T, H, b) -> (B, H, a, b): left^T right of each block."""
        a, b = (_gather(part, self._given["rows"], 0.0) for part in (left, right))
        return a.permute(0, 2, 3, 1) @ b.transpose(1, 2)


def _gather(values: Tensor, rows: Tensor, nothing: float) -> Tensor:
    """values (T, ...) -> (B, BLOCK, ...); ``nothing`` in places that hold no token.

    One row is appended for them, so that tokens are never padded where the work is, in the matrix
    products.
    """
    none = values.new_full((1, *values.shape[1:]), nothing)
    found = torch.cat([values, none]).index_select(0, rows.flatten())
    return found.view(rows.shape[0], rows.shape[1], *values.shape[1:])
