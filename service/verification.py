"""Holds a session against the golden data inside its bundle: proof without torch."""

from __future__ import annotations

import numpy as np

from service.bundle import Bundle
from service.errors import BundleError
from service.session import Session


def check_golden(bundle: Bundle, session: Session) -> float:
    """The largest error over the golden outputs; BundleError when above the bundle's tolerance.

    An error is |found - golden| over 1 + the largest |golden| of that output.
    """
    pack, golden = bundle.golden()
    found = session.run(pack)
    worst = 0.0
    for name, wanted in golden.items():
        if found[name].shape != wanted.shape:
            raise BundleError(
                f"{bundle.folder}: output {name!r} has shape {found[name].shape}, "
                f"golden is {wanted.shape}"
            )
        error = np.abs(found[name] - wanted).max(initial=0.0)
        worst = max(worst, float(error / (1 + np.abs(wanted).max(initial=0.0))))
    if not worst <= bundle.manifest.tolerance:
        raise BundleError(
            f"{bundle.folder}: golden outputs are missed by {worst:.1e}, "
            f"the tolerance is {bundle.manifest.tolerance:.1e}"
        )
    return worst
