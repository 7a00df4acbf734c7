"""onnxruntime, imported here and nowhere else: late and discreet; and how many threads."""

from __future__ import annotations

import contextlib
import io
import os
from importlib import import_module
from typing import Any

from service.cpus import available_cpus
from service.errors import StartupError
from service.team import Team


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


def preloaded() -> str:
    """Load the libraries of CUDA that lie among Python's packages; what is missing, if any is.

    onnxruntime finds them there only when it is told to look, and prints what it does not find.
    """
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        onnxruntime().preload_dlls()
    return "; ".join(line for line in said.getvalue().splitlines() if line.startswith("Failed"))


class Threads:
    """The threads of the process that compute: as many as first asked for."""

    count = 0
    _team: Team | None = None

    @classmethod
    def start(cls, count: int = 0) -> int:
        """Fix the number (0: as many as CPUs), unless it is; what it is.

        Raises StartupError when it is another: sessions may have started so many already.
        """
        if count < 0:
            raise StartupError(f"{count} threads were asked for; 0 means as many as CPUs")
        if not cls.count:
            cls.count = count or available_cpus()
        if count and count != cls.count:
            raise StartupError(f"{count} threads were asked for; {cls.count} have been started")
        return cls.count

    @classmethod
    def shared(cls) -> Team:
        """They as one team, of all sessions together."""
        if cls._team is None:
            cls._team = Team(cls.start())
        return cls._team
