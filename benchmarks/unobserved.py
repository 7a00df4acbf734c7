"""Our server as it would be without metrics and traces: what they cost is the difference.

There is no such setting, so the methods that count are replaced by one that does nothing, in a
process of its own. Takes the flags of `sumserve serve`; for one worker.
"""

from __future__ import annotations

import sys
from typing import Any

COUNTING = ("request", "took", "answered", "ran", "abandoned", "late")


class NoTrace:
    """In the place of `service.tracing.Trace`."""

    fields: dict[str, str] = {}  # noqa: RUF012  # never changed

    def __init__(self, *_: Any) -> None:
        """Looks at nothing."""

    def over(self, _: Any) -> None:
        """Tells nobody."""


def nothing(*_: Any) -> None:
    """In the place of whatever counts."""


def main() -> int:
    """Serve."""
    from service import access, cli
    from service.metrics import Metrics

    for name in COUNTING:
        setattr(Metrics, name, nothing)
    vars(access)["Trace"] = NoTrace
    sys.argv[1:1] = ["serve"]
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
