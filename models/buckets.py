"""Buckets: sequences of a pack of like length side by side, for attention that needs all keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from models.pack import Pack

WASTE = 1.25


@dataclass(frozen=True, slots=True)
class Bucket:
    """B sequences in n places each: rows (B, n) are their tokens, T where there is none."""

    rows: Tensor
    valid: Tensor
    full: bool


def buckets(pack: Pack, exact: bool = False) -> list[Bucket]:
    """All sequences that have tokens, longest first, padded to at most 1.25 times their length.

    ``exact`` puts only sequences of equal length together, so that nothing is padded.
    """
    lengths, order = torch.sort(pack.lengths, descending=True)
    found, begin = [], 0
    sizes = lengths.tolist()
    while begin < len(sizes) and sizes[begin]:
        least = sizes[begin] if exact else sizes[begin] / WASTE
        end = begin
        while end < len(sizes) and sizes[end] and sizes[end] >= least:
            end += 1
        found.append(_bucket(pack, order[begin:end]))
        begin = end
    return found


def _bucket(pack: Pack, chosen: Tensor) -> Bucket:
    lengths = pack.lengths[chosen]
    places = torch.arange(int(lengths.max()), device=lengths.device)
    valid = places < lengths[:, None]
    rows = torch.where(valid, pack.starts[chosen][:, None] + places, pack.tokens)
    return Bucket(rows, valid, bool(valid.all()))


def gather(values: Tensor, bucket: Bucket) -> Tensor:
    """values (T, H, w) -> (B, n, H, w), zero where there is no token."""
    padded = values if bucket.full else pad(values, (0, 0, 0, 0, 0, 1))
    rows: Tensor = padded.index_select(0, bucket.rows.flatten())
    return rows.view(*bucket.rows.shape, *values.shape[1:])


def scatter(read: Sequence[Tensor], groups: Sequence[Bucket], like: Tensor) -> Tensor:
    """What was read in every bucket, (B, n, H, w) each -> (T, H, w), in the pack's order."""
    if not groups:
        return like
    rows = torch.cat([bucket.rows.flatten() for bucket in groups])
    places = torch.empty(len(like) + 1, dtype=torch.int64, device=rows.device)
    places[rows] = torch.arange(len(rows), device=rows.device)
    return torch.cat([part.flatten(0, 1) for part in read]).index_select(0, places[:-1])
