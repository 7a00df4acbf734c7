"""onnxruntime, imported here and nowhere else: late, and told to keep what it sees to itself."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from service.errors import StartupError


def onnxruntime() -> Any:
    """The onnxruntime module; StartupError says what to install when there is none.

    Its wheels since 1.29 send usage data to their maker. They read the variable once, when they
    are first imported; who wants the reports sets ORT_DISABLE_TELEMETRY=0.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        return import_module("onnxruntime")
    except ImportError as error:
        raise StartupError(
            "no onnxruntime is installed: pip install 'sumserve[cpu]' or 'sumserve[gpu]'"
        ) from error
