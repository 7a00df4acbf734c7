"""The parent of several workers: starts them, starts again the one that ends, passes signals on.

It holds no model and sees no request. It has a hold on every worker's socket, which is the next
worker's if that one ends; so it lets go of all of them as soon as it is told to stop.
"""

from __future__ import annotations

import logging
import math
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from multiprocessing.connection import wait

from service import listening
from service.child import Child, Place, Work
from service.errors import StartupError
from service.keys import read_entries
from service.settings import Settings
from service.siblings import meeting_place
from service.signals import Caught

SETTLED_SECONDS = 10.0  # who has served for so long was started well
MOST_FAILURES = 5  # of a worker, one after the other, to be started well
LAST_SECONDS = 3.0  # for a worker that should have ended by now, before it is killed

log = logging.getLogger("sumserve.supervisor")


def supervise(settings: Settings, work: Work, drain_seconds: float) -> None:
    """Serve with several workers until told to stop; each does ``work``, in a process of its own.

    drain_seconds: the most that a worker may take to end once it is told to. Raises what the worker
    raised that could not start, StartupError when one fails again and again, and SystemExit(1) when
    one did not end as it should.
    """
    keys = read_entries(settings.keys) if settings.keys else None
    with ExitStack() as stack:
        signals = stack.enter_context(Caught())
        folder = stack.enter_context(meeting_place())
        sockets = listening.bind(settings.host, settings.port, settings.workers)
        let_go = partial(listening.close, sockets)
        stack.callback(let_go)
        port = sockets[0][0].getsockname()[1]
        log.info("%d workers will serve on %s:%d", settings.workers, settings.host, port)
        places = [Place(settings, i, sockets[i], folder, keys) for i in range(settings.workers)]
        starts = [partial(Child, work, place) for place in places]
        Supervisor(starts, signals, let_go, drain_seconds + LAST_SECONDS).run()


class Supervisor:
    """The workers by number, and how far they are with starting or stopping."""

    def __init__(
        self,
        starts: Sequence[Callable[[], Child]],
        signals: Caught,
        let_go: Callable[[], None],
        patience: float,
    ) -> None:
        """starts: one for each worker; let_go: of their sockets; patience: for them to end."""
        self._starts, self._signals, self._let_go = starts, signals, let_go
        self._patience = patience
        self._children: dict[int, Child] = {}
        self._failures: Counter[int] = Counter()
        self._all_ready = False  # they have been, once
        self._passed_on: signal.Signals | None = None
        self._kill_at = math.inf
        self._failure: Exception | None = None
        self._clean = True

    def run(self) -> None:
        """Until all have ended."""
        try:
            for index, start in enumerate(self._starts):
                self._children[index] = start()
            while self._children:
                self._look()
        finally:
            self._tell(signal.SIGKILL)
        if self._failure:
            raise self._failure
        if not self._clean:
            raise SystemExit(1)

    def _look(self) -> None:
        """Wait until something happens, and see to it."""
        events = [event for child in self._children.values() for event in child.events()]
        left = max(0.0, self._kill_at - time.monotonic())
        wait([self._signals.fileno(), *events], None if left == math.inf else left)
        for sig in self._signals.come():
            self._on_signal(sig)
        ended = [child for child in self._children.values() if child.ended()]
        for child in self._children.values():
            child.hear()  # what those that have ended said before, too
        if not (self._all_ready or self._passed_on):
            self._see_who_is_ready()
        for child in ended:
            del self._children[child.index]
            self._see_off(child)
        if time.monotonic() >= self._kill_at:
            log.error("workers that do not end are killed: %s", [*self._children])
            self._tell(signal.SIGKILL)

    def _see_who_is_ready(self) -> None:
        children = self._children.values()
        if failed := [child for child in children if child.error]:
            self._fail(failed[0], signal.SIGINT, "could not start")
        elif all(child.ready_at for child in children):
            self._all_ready = True
            log.info("all workers serve")

    def _see_off(self, child: Child) -> None:
        """It has ended: as it was told to, or to be started again."""
        if self._passed_on and child.went():
            return
        fields = {"worker": child.index, "pid": child.process.pid, "exit": child.process.exitcode}
        if self._all_ready:
            log.error("a worker has ended: %s", child.end(), extra={"fields": fields})
        if self._passed_on:
            self._clean = False
        elif self._all_ready:
            self._start_again(child)
        else:
            self._fail(child, signal.SIGINT, "could not start")

    def _start_again(self, child: Child) -> None:
        index = child.index
        child.leave()
        self._failures[index] = 0 if child.served(SETTLED_SECONDS) else self._failures[index] + 1
        if self._failures[index] == MOST_FAILURES:
            how = f"ended {MOST_FAILURES} times before it had served for {SETTLED_SECONDS:g} s"
            self._fail(child, signal.SIGTERM, how)
            return
        try:
            self._children[index] = self._starts[index]()
        except OSError as error:  # no more memory, or too many processes
            child.error = error
            self._fail(child, signal.SIGTERM, "cannot be started again")

    def _fail(self, child: Child, sig: signal.Signals, how: str) -> None:
        """Stop all the others, and say why in the end."""
        said = StartupError(f"worker {child.index} {how}: {child.end()}")
        self._failure = said if self._all_ready else child.error or said
        self._tell(sig)

    def _on_signal(self, sig: int) -> None:
        """As a lone worker does: SIGTERM drains; SIGINT, or a second one, stops listening at once.

        What comes then ends everything.
        """
        if self._passed_on in (signal.SIGINT, signal.SIGKILL):
            self._tell(signal.SIGKILL)
        else:
            again = self._passed_on or sig == signal.SIGINT
            self._tell(signal.SIGINT if again else signal.SIGTERM)

    def _tell(self, sig: signal.Signals) -> None:
        if not self._passed_on:
            self._let_go()
            self._kill_at = time.monotonic() + self._patience
        if sig == signal.SIGKILL:
            self._kill_at = math.inf
        self._passed_on = sig
        for child in self._children.values():
            child.tell(sig)
