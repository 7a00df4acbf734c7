"""A supervisor and its processes, which do something else than serve."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service import supervisor
from service.child import Child, Place, Work
from service.errors import BundleError, StartupError
from service.settings import Settings
from tests.service import works
from tests.service.works import BAD, Words

Script = Callable[[Words], None]
TERM, INT = signal.SIGTERM, signal.SIGINT


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No process, no folder, no handler."""
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "run"))
    handlers = [signal.getsignal(sig) for sig in (TERM, INT)]
    yield
    assert not list((tmp_path / "run").iterdir())
    assert [signal.getsignal(sig) for sig in (TERM, INT)] == handlers
    for index in 0, 1:
        for pid in Words(tmp_path).of("pid", index):
            with pytest.raises(ProcessLookupError):
                os.kill(int(pid), 0)


def supervise(
    work: Work, folder: Path, script: Script | None = None, drain_seconds: float = works.LONG
) -> Words:
    """Two workers that do this, while the script runs in a thread of this process."""
    settings, words = Settings(models=folder, port=0, workers=2, log_level="error"), Words(folder)
    thread = threading.Thread(target=script, args=(words,)) if script else threading.Thread()
    thread.start()
    try:
        supervisor.supervise(settings, work, drain_seconds)
    finally:
        thread.join()
    return words


def tell(*signals: signal.Signals) -> Script:
    """When both are ready: these, each after the one before has reached the workers."""

    def script(words: Words) -> None:
        for count, sig in enumerate(signals):
            for index in 0, 1:
                words.wait("signals" if count else "ready", index, max(1, count))
            os.kill(os.getpid(), sig)

    return script


@pytest.mark.parametrize("sig", [TERM, INT])
def test_a_signal_is_passed_on_and_all_end(tmp_path: Path, sig: signal.Signals) -> None:
    words = supervise(works.obedient, tmp_path, tell(sig))
    assert [words.of("signals", index) for index in (0, 1)] == [[str(int(sig))]] * 2
    assert words.of("pid", 0) != words.of("pid", 1)


def test_connections_are_refused_as_soon_as_workers_listen_no_more(tmp_path: Path) -> None:
    """And are not held by a parent that nobody is behind."""
    refused = []

    def script(words: Words) -> None:
        tell(TERM)(words)
        for index in 0, 1:
            words.wait("closed", index)
        try:
            socket.create_connection(("127.0.0.1", int(words.of("closed", 0)[0]))).close()
        except ConnectionRefusedError:
            refused.append(True)
        os.kill(os.getpid(), TERM)

    supervise(works.closing, tmp_path, script)
    assert refused


def test_a_second_signal_is_more_urgent_and_the_third_ends_everything(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="1"):
        supervise(works.stubborn, tmp_path, tell(TERM, TERM, TERM))
    wanted = [str(int(TERM)), str(int(INT))]
    assert [Words(tmp_path).of("signals", index) for index in (0, 1)] == [wanted] * 2


def test_a_second_ctrl_c_ends_everything(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="1"):
        supervise(works.stubborn, tmp_path, tell(INT, INT))
    assert [Words(tmp_path).of("signals", index) for index in (0, 1)] == [[str(int(INT))]] * 2


def test_who_does_not_end_in_time_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LAST_SECONDS", 0.2)
    with pytest.raises(SystemExit, match="1"):
        supervise(works.stubborn, tmp_path, tell(TERM), drain_seconds=0)
    assert Words(tmp_path).of("pid", 0)


def test_a_bundle_at_fault_stops_all_and_is_raised_here(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"^digits/1: stage0\.onnx is not what it was$"):
        supervise(works.invalid, tmp_path)
    assert not Words(tmp_path).of("ready", BAD)


def test_an_error_of_the_system_stops_all_and_is_raised_here(tmp_path: Path) -> None:
    with pytest.raises(PermissionError) as caught:
        supervise(works.unreadable, tmp_path)
    assert (caught.value.filename, caught.value.strerror) == ("/bundles", "Permission denied")


def test_who_ends_before_it_is_ready_stops_all(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="worker 1 could not start: exit code 7"):
        supervise(works.lost, tmp_path)
    assert not Words(tmp_path).of("ready", BAD)


@pytest.mark.parametrize("sig", [TERM, INT])
def test_a_signal_while_one_still_loads_ends_it_at_once(
    tmp_path: Path, sig: signal.Signals
) -> None:
    def script(words: Words) -> None:
        words.wait("ready", 0)
        words.wait("pid", BAD)
        os.kill(os.getpid(), sig)

    words = supervise(works.loading, tmp_path, script)
    assert words.of("signals", 0) == [str(int(sig))]


def test_a_worker_that_keeps_dying_ends_the_whole(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"worker 1 ended 5 times before .* exit code 7"):
        supervise(works.dying, tmp_path)
    words = Words(tmp_path)
    assert (len(words.of("pid", 0)), len(words.of("pid", BAD))) == (1, 5)
    assert words.of("signals", 0) == [str(int(TERM))]


def test_the_others_drain_when_one_cannot_be_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [2]

    def start(work: Work, place: Place) -> Child:
        if not left[0]:
            raise OSError(11, "Resource temporarily unavailable")
        left[0] -= 1
        return Child(work, place)

    monkeypatch.setattr(supervisor, "Child", start)
    with pytest.raises(StartupError, match=r"worker 1 cannot be started again: .*unavailable"):
        supervise(works.dying, tmp_path)
    assert Words(tmp_path).of("signals", 0) == [str(int(TERM))]


def test_a_worker_that_has_served_for_long_may_always_be_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def script(words: Words) -> None:
        words.wait("ready", BAD)
        os.kill(os.getpid(), TERM)

    monkeypatch.setattr(supervisor, "SETTLED_SECONDS", 0)
    words = supervise(works.recovering, tmp_path, script)
    assert len(words.of("pid", BAD)) == 8
