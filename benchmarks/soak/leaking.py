"""The server with a leak planted: every answer is kept. What a soak must find."""

from __future__ import annotations

import sys
from typing import Any

from service import prediction
from service.cli import main

KEPT: list[bytes] = []
BYTES = 2000  # of every answer


def plant() -> None:
    """Keep a piece of memory for each answer that is encoded."""
    reply = prediction._reply

    def leaking(*args: Any) -> Any:
        KEPT.append(bytes(BYTES))
        return reply(*args)

    prediction._reply = leaking  # type: ignore[assignment]


if __name__ == "__main__":
    plant()
    sys.exit(main())
