from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from service import server
from service.errors import StartupError
from service.server import Server
from service.settings import Settings
from service.siblings import Siblings
from tests.service.fakes import service

TERM, INT = signal.SIGTERM, signal.SIGINT
ALONE, ONE_OF_TWO = Siblings(), Siblings(count=2)


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_signal_while_bundles_load_ends_the_process_cleanly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "load", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit, match="0"):
        server.serve(Settings())


def test_a_taken_port_is_named(bundles: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartupError, match=f"cannot listen on 127.0.0.1:{port}"):
            server.serve(Settings(models=bundles, port=port))


@pytest.mark.parametrize(
    ("siblings", "signals", "stops", "forced"),
    [
        (ALONE, [TERM], False, False),
        (ALONE, [TERM, TERM], True, False),
        (ALONE, [TERM, TERM, TERM], True, True),
        (ALONE, [INT], True, False),
        (ALONE, [INT, INT], True, True),
        (ONE_OF_TWO, [TERM, TERM, TERM], False, False),
        (ONE_OF_TWO, [INT, INT, INT], True, False),
        (ONE_OF_TWO, [TERM, TERM, INT, INT], True, False),
    ],
)
def test_signals_count_for_a_lone_worker_and_for_one_of_several_its_supervisor_counts(
    siblings: Siblings, signals: list[int], stops: bool, forced: bool
) -> None:
    """Listening ends on its own only after the grace."""
    served = service()
    found = Server(uvicorn.Config("none"), served, siblings, lambda: None)
    for sig in signals:
        found.handle_exit(sig, None)
    assert (found.should_exit, found.force_exit) == (stops, forced)
    assert served.readiness.draining


@pytest.mark.parametrize(("siblings", "leaves"), [(ALONE, False), (ONE_OF_TWO, True)])
def test_a_worker_that_is_stuck_makes_room_for_another(siblings: Siblings, leaves: bool) -> None:
    """A lone one is started anew by whoever finds that it is not alive."""
    served = service()
    served.readiness.stuck = "a run cannot be stopped"
    found = Server(uvicorn.Config("none"), served, siblings, lambda: None)
    assert asyncio.run(found.on_tick(1)) == leaves
