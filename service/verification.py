"""Holds answers against the answers they should be; a session against its bundle's golden data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.bundle import Bundle
from service.errors import BundleError
from service.pack import Array
from service.session import Session


def largest_error(found: Sequence[Array], wanted: Sequence[Array]) -> float:
    """The largest error of any sequence: |found - wanted| over the sequence's largest |wanted|.

    Sequences with smaller answers than half of them are measured by the median one. So an error
    hides neither behind a larger sequence nor behind a model whose answers are all small.
    """
    if [f.shape for f in found] != [w.shape for w in wanted]:
        return float("inf")
    scales = np.array([np.abs(w).max(initial=0.0) for w in wanted if w.size])
    errors = np.array(
        [np.abs(f - np.float64(w)).max() for f, w in zip(found, wanted, strict=True) if w.size]
    )
    if not errors.any():
        return 0.0
    with np.errstate(divide="ignore"):
        return float((errors / np.maximum(scales, np.median(scales))).max())


def check_golden(bundle: Bundle, session: Session) -> float:
    """The largest error over the golden outputs; BundleError when above the bundle's tolerance."""
    pack, golden = bundle.golden()
    found = session.run(pack)
    worst = max(
        largest_error(
            pack.per_sequence(found[o.name], o.per), pack.per_sequence(golden[o.name], o.per)
        )
        for o in bundle.manifest.outputs
    )
    if not worst <= bundle.manifest.tolerance:
        raise BundleError(
            f"{bundle.folder}: golden outputs are missed by {worst:.1e}, "
            f"the tolerance is {bundle.manifest.tolerance:.1e}"
        )
    return worst
