"""Where mixed precision must not reach: sums, exponents, and answers in their own units."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def full_precision(like: Tensor) -> Iterator[None]:
    """Turn autocast off for what is inside, on the device of ``like``."""
    device = like.device.type
    if not torch.is_autocast_enabled(device):
        yield
        return
    with torch.autocast(device, enabled=False):
        yield


def wide(rows: Tensor) -> Tensor:
    """At least float32."""
    return rows.float() if rows.dtype in (torch.float16, torch.bfloat16) else rows
