"""Logging as JSON lines on standard error, one object per line."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, BinaryIO

from service.wires.json_answer import dumps


class JsonFormatter(logging.Formatter):
    """time, level, logger, message; then the record's own ``fields``, and a traceback if any.

    worker: the number of the one that writes, where there are several.
    """

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self._whose = {} if worker is None else {"worker": worker}
        self._second, self._text = 0, ""  # the last one, and how it is written

    def format(self, record: logging.LogRecord) -> str:
        """One record as one JSON line."""
        return self.line(record).decode()

    def line(self, record: logging.LogRecord) -> bytes:
        """The same as it is written."""
        fields = getattr(record, "fields", {})
        if record.exc_info:
            fields = {**fields, "traceback": self.formatException(record.exc_info)}
        level = record.levelname.lower()
        return self.written(record.created, level, record.name, record.getMessage(), fields)

    def written(
        self, seconds: float, level: str, logger: str, message: str, fields: Mapping[str, Any]
    ) -> bytes:
        """What is said at a time since the epoch, as it is written."""
        line = {"time": self._time(seconds), "level": level, "logger": logger, "message": message}
        return dumps({**line, **self._whose, **fields})

    def _time(self, seconds: float) -> str:
        """In UTC, to the millisecond."""
        second = int(seconds)
        if second != self._second:
            self._text = datetime.fromtimestamp(second, UTC).isoformat().removesuffix("+00:00")
            self._second = second
        return f"{self._text}.{int((seconds - second) * 1e3):03d}+00:00"


class Lines(logging.Handler):
    """Writes records as bytes, each at once: a line per request has to cost little."""

    def __init__(self, formatter: JsonFormatter, file: BinaryIO) -> None:
        super().__init__()
        self._json, self._file = formatter, file
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """One line. Called by one thread at a time."""
        try:
            self._write(self._json.line(record))
        except Exception:
            self.handleError(record)

    def tell(self, logger: str, message: str, fields: Mapping[str, Any]) -> None:
        """A line of level info without a record of it, which takes half as long."""
        with suppress(OSError):  # a full disk stops nobody
            assert self.lock
            with self.lock:
                self._write(self._json.written(time.time(), "info", logger, message, fields))

    def _write(self, line: bytes) -> None:
        self._file.write(line + b"\n")
        self._file.flush()


def lines() -> Lines | None:
    """What writes all lines, where nothing else does."""
    handlers = logging.root.handlers
    only = handlers[0] if len(handlers) == 1 else None
    return only if isinstance(only, Lines) else None


def configure(level: str, worker: int | None = None) -> None:
    """Send every logger's lines to standard error, from ``level`` up."""
    # Nothing of this is written, and finding it out is a fifth of a line's time.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = Lines(JsonFormatter(worker), sys.stderr.buffer)
    logging.captureWarnings(True)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
