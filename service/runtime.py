"""onnxruntime, imported here and nowhere else: late, discreet, and with one pool of threads."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from service.cpus import available_cpus
from service.errors import StartupError


def onnxruntime() -> Any:
    """The onnxruntime module; StartupError says what to install when there is none.

    Its wheels since 1.29 send usage data to their maker. They read the variable once, when they
    are first imported; who wants the reports sets ORT_DISABLE_TELEMETRY=0.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        return import_module("onnxruntime")
    except ModuleNotFoundError as error:
        raise StartupError(
            "no onnxruntime is installed: pip install 'sumserve[cpu]' or 'sumserve[gpu]'"
        ) from error


def onnxruntime_part(name: str) -> Any:
    """A sub-module of onnxruntime, such as its tools for graphs."""
    onnxruntime()
    return import_module(f"onnxruntime.{name}")


class Threads:
    """The threads of the process: one pool for all sessions, as large as first asked for.

    Sessions with pools of their own fight for the CPUs: the idle ones spin while another works,
    which made steps of two stages up to 1.7 times slower (benchmarks/README.md).
    """

    count = 0

    @classmethod
    def start(cls, count: int = 0) -> int:
        """Start the pool (0: as many threads as CPUs) unless it runs; its size.

        Raises StartupError when it runs with another number: onnxruntime cannot change it.
        """
        if count < 0:
            raise StartupError(f"{count} threads were asked for; 0 means as many as CPUs")
        if not cls.count:
            cls.count = count or available_cpus()
            onnxruntime().set_global_thread_pool_sizes(cls.count, 1)
        if count and count != cls.count:
            raise StartupError(f"{count} threads were asked for; {cls.count} have been started")
        return cls.count
