from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any


class Inline(Executor):
    """Runs what it is given at once, in this process: starting others takes seconds."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Takes what a ProcessPoolExecutor takes."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        run: Future[Any] = Future()
        try:
            run.set_result(function(*args, **named))
        except Exception as error:
            run.set_exception(error)
        return run
