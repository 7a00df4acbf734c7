"""Do patterns make a universal approximator? Assumption 1 of Yun et al. 2020, on n given tokens.

Exact and for analysis, with n x n matrices; a Hamiltonian path alone may stay unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csr_array  # type: ignore[import-untyped]
from scipy.sparse.csgraph import maximum_bipartite_matching  # type: ignore[import-untyped]
from torch import Tensor

from models.sparse.patterns import Pattern

Answer = Literal["yes", "no", "unknown"]
Bools = npt.NDArray[np.bool_]

MOST_TOKENS = 4096
_EXACT_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Report:
    """What holds of patterns A^1..A^p that layers take in turn, on n tokens.

    self_loops: every token reads itself in every pattern. hamiltonian: is there an order `path`
    of all tokens in which each reads the one before it in some pattern? reach: the least number
    of layers s after which every token depends on all, None if none suffices. connections: pairs
    per pattern; sparsity: the share of the n^2 pairs that are none (1 where n is 0).
    """

    self_loops: bool
    hamiltonian: Answer
    path: tuple[int, ...] | None
    reach: int | None
    connections: tuple[int, ...]
    sparsity: tuple[float, ...]

    @property
    def universal(self) -> bool | None:
        """All three conditions hold; None where only the path is unknown."""
        if not self.self_loops or self.reach is None or self.hamiltonian == "no":
            return False
        return True if self.hamiltonian == "yes" else None


def check(patterns: Sequence[Pattern], n: int) -> Report:
    """Assumption 1 (Yun et al. 2020) of the patterns that layers take in turn, on n tokens."""
    if not patterns:
        raise ValueError("patterns must be at least 1, got 0")
    if not 0 <= n <= MOST_TOKENS:
        raise ValueError(f"n must be in 0..{MOST_TOKENS}, got {n}")
    layers = [matrix(pattern, n) for pattern in patterns]
    loops = all(bool(layer.diagonal().all()) for layer in layers)
    hamiltonian, path = _hamiltonian(reduce(torch.logical_or, layers).T)
    connections = tuple(int(layer.sum()) for layer in layers)
    return Report(
        self_loops=loops,
        hamiltonian=hamiltonian,
        path=path,
        reach=_reach(layers) if loops else _reach_by_steps(layers),
        connections=connections,
        sparsity=tuple(1 - count / max(1, n * n) for count in connections),
    )


def matrix(pattern: Pattern, n: int) -> Tensor:
    """(n, n) bool: does token i (row) read token j (column)?"""
    tokens = torch.arange(n)
    return pattern.connects(tokens[:, None], tokens[None, :], n).expand(n, n)


def _compose(after: Tensor, before: Tensor) -> Tensor:
    """What a token sees through `after`, of those that see through `before`; counts are exact."""
    return (after.float() @ before.float()) > 0


def _reach(layers: list[Tensor]) -> int | None:
    """s where all tokens read themselves: what is seen never shrinks, so powers bracket s."""
    cycle = reduce(lambda seen, layer: _compose(layer, seen), layers)
    powers = [cycle]
    while not powers[-1].all():
        twice = _compose(powers[-1], powers[-1])
        if torch.equal(twice, powers[-1]):
            return None
        powers.append(twice)
    seen, steps = torch.eye(len(cycle), dtype=torch.bool), 0
    for exponent in reversed(range(len(powers) - 1)):
        more = _compose(powers[exponent], seen)
        if not more.all():
            seen, steps = more, steps + len(layers) * 2**exponent
    for layer in layers:
        seen, steps = _compose(layer, seen), steps + 1
        if seen.all():
            break
    return steps


def _reach_by_steps(layers: list[Tensor]) -> int | None:
    """s of any patterns: layer by layer, until what is seen after whole cycles comes again."""
    seen = torch.eye(len(layers[0]), dtype=torch.bool)
    steps, known = 0, set[bytes]()
    while (state := np.packbits(seen.numpy()).tobytes()) not in known:
        known.add(state)
        for layer in layers:
            seen, steps = _compose(layer, seen), steps + 1
            if seen.all():
                return steps
    return None


def _hamiltonian(edges: Tensor) -> tuple[Answer, tuple[int, ...] | None]:
    """A path through all tokens along edges (n, n) bool: the cheap proofs first."""
    n = len(edges)
    for order in (list(range(n)), list(reversed(range(n)))):
        if _is_path(order, edges):
            return "yes", tuple(order)
    if n > _EXACT_TOKENS and not _possible(edges):
        return "no", None
    path = _exact_path(edges) if n <= _EXACT_TOKENS else _likely_path(edges)
    if path is None:
        return ("no" if n <= _EXACT_TOKENS else "unknown"), None
    assert _is_path(path, edges)
    return "yes", tuple(path)


def _is_path(order: list[int], edges: Tensor) -> bool:
    every = sorted(order) == list(range(len(edges)))
    return every and bool(edges[order[:-1], order[1:]].all())


def _possible(edges: Tensor) -> bool:
    """Necessary for a path through all tokens; False proves that there is none.

    All tokens but one have a successor of their own (a matching), and of any two tokens one leads
    to the other.
    """
    n = len(edges)
    follows = edges & ~torch.eye(n, dtype=torch.bool)
    matched = maximum_bipartite_matching(csr_array(follows.numpy()), perm_type="column")
    if int((matched >= 0).sum()) < n - 1:
        return False
    leads = edges | torch.eye(n, dtype=torch.bool)
    while not torch.equal(leads, further := _compose(leads, leads)):
        leads = further
    return bool((leads | leads.T).all())


def _exact_path(edges: Tensor) -> list[int] | None:
    """Held and Karp 1962: for every set of tokens, at which of them a path through it can end."""
    n = len(edges)
    before = [sum(1 << j for j in range(n) if edges[j, k]) for k in range(n)]
    ends = [0] * (1 << n)
    for tokens in range(1, 1 << n):
        for k in range(n):
            rest = tokens & ~(1 << k)
            if rest != tokens and (not rest or ends[rest] & before[k]):
                ends[tokens] |= 1 << k
    path: list[int] = []
    tokens, choices = (1 << n) - 1, ends[-1]
    while choices:
        path.append(choices.bit_length() - 1)
        tokens &= ~(1 << path[-1])
        choices = ends[tokens] & before[path[-1]]
    return path[::-1] if len(path) == n else None


def _likely_path(edges: Tensor) -> list[int] | None:
    """Grow a path by the tokens that are hardest to reach; where none fits, turn its end round."""
    follows = edges.numpy() & ~np.eye(len(edges), dtype=bool)
    generator = np.random.default_rng(0)
    path, left = [0], np.arange(len(follows)) > 0
    for _ in range(8 * len(follows)):
        if not left.any():
            return path
        found = _next(follows, path, left)
        if found is not None:
            place, token = found
            path.insert(place, token)
            left[token] = False
        else:
            path = _turned(follows, path, generator)
    return None


def _next(follows: Bools, path: list[int], left: Bools) -> tuple[int, int] | None:
    """A token that is left and its place in the path: at the end, or else wherever it fits."""
    waiting = np.flatnonzero(left)
    options = waiting[follows[path[-1], waiting]]
    if len(options):
        return len(path), int(options[follows[:, options].sum(0).argmin()])
    order = np.array(path)
    fits = np.ones((len(path) + 1, len(waiting)), dtype=bool)
    fits[1:] &= follows[np.ix_(order, waiting)]
    fits[:-1] &= follows[np.ix_(waiting, order)].T
    places, tokens = fits.nonzero()
    return (int(places[0]), int(waiting[tokens[0]])) if len(places) else None


def _turned(follows: Bools, path: list[int], generator: np.random.Generator) -> list[int]:
    """A B C -> A C B where C leads back to B and A on to C: the same tokens, often another end.

    No part is reversed, so edges of one direction do.
    """
    for i in generator.permutation(np.flatnonzero(follows[path[-1], path])):
        onward = follows[path[i - 1], path[i + 1 :]] if i else np.ones(len(path) - 1, dtype=bool)
        if onward.any():
            j = i + 1 + generator.choice(np.flatnonzero(onward))
            return path[:i] + path[j:] + path[i:j]
    return path
