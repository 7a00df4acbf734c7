"""The arithmetic of the online benchmarks, and their messages; no peers, no wrk."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

from benchmarks.handlers.batches import blocked, padded
from benchmarks.handlers.setting import PACKED, Place, Setting
from benchmarks.online import closed
from benchmarks.online.arrivals import Record, poisson, send
from benchmarks.online.cells import Cells
from benchmarks.online.contender import BINARY, JSON, Bodies, Contender
from benchmarks.online.latency import by_class
from benchmarks.online.load import Loader
from benchmarks.online.settings import swept, usual
from benchmarks.online.sweep import FIRST, Sweep
from benchmarks.online.traffic import Traffic
from benchmarks.online.verdicts import fastest, geometric_mean, means, quickest, verdict
from benchmarks.peers.client import Reply
from benchmarks.tree import cpu_seconds, descendants, end
from service.pack import Blocks

X = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)


def body_of(prepared: bytes) -> bytes:
    return prepared.partition(b"\r\n\r\n")[2]


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that answers every request with its own body; its port."""
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(serve(started)))
    thread.start()
    loop, stop, port = started.result(10)
    yield port
    loop.call_soon_threadsafe(stop.set)
    thread.join()


async def serve(started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]]) -> None:
    stop = asyncio.Event()
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    started.set_result((asyncio.get_running_loop(), stop, port))
    async with server:
        await stop.wait()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            count = int(head.lower().partition(b"\r\ncontent-length: ")[2].split(b"\r\n")[0])
            lines = b"Inference-Header-Content-Length: 1\r\nContent-Length: %d" % count
            body = await reader.readexactly(count)
            writer.write(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n\r\n" + body)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def test_arrivals_are_independent_and_as_many_a_second_as_asked() -> None:
    due = poisson(rate=1000, seconds=20, seed=1)
    gaps = np.diff(due)
    assert len(due) == 20_000
    assert due[-1] == pytest.approx(20, rel=0.05)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)
    assert (poisson(1000, 20, 1) == due).all()


def test_every_request_is_sent_when_it_is_due_and_its_own_answer_kept(echo: int) -> None:
    prepared = [Contender().message(BINARY, X[:n]).prepared for n in (1, 3, 5)]
    due = np.arange(40) / 1000
    record = send(echo, prepared, due, keep_every=4, connections=3)
    assert set(record.kept) == set(range(0, 40, 4))
    assert all(bytes(r.body) == body_of(prepared[i % 3]) for i, r in record.kept.items())
    assert (record.behind >= 0).all()
    assert (record.latency >= record.behind).all()


def test_latency_counts_from_when_a_request_was_due(echo: int) -> None:
    prepared = [Contender().message(BINARY, X).prepared]
    record = send(echo, prepared, np.zeros(200), keep_every=100, connections=1)
    assert (np.diff(record.done) >= 0).all()
    assert record.latency[-1] == record.done[-1] > record.latency[0]


def test_latencies_are_told_apart_by_the_length_of_what_was_sent() -> None:
    due = np.zeros(6)
    done = np.array([1, 2, 1, 2, 1, 2]) / 1000
    found = by_class(Record(due, due, done, {}), lengths=np.array([128, 129]))
    assert found["short"] == {"requests": 3, "p50_ms": 1, "p99_ms": 1, "p99_9_ms": 1}
    assert found["long"]["p50_ms"] == 2
    assert found["generator_behind"]["p99_ms"] == 0


def test_tokens_follow_the_rotation() -> None:
    traffic = Traffic("any", [X[:1], X[:2], X[:5]])
    assert [traffic.tokens(n) for n in (0, 1, 2, 3, 7)] == [0, 1, 3, 8, 17]


def test_packs_hold_whole_sequences_up_to_the_budget() -> None:
    sequences = [X[:n] for n in (3, 3, 5, 1, 1)]
    packs = list(Traffic("any", sequences).packs(6))
    assert [list(pack.lengths) for pack in packs] == [[3, 3], [5, 1], [1]]


def test_peers_pad_to_the_longest_with_a_mask() -> None:
    x, mask = padded([X[:2], X])
    assert x.shape == (2, 5, 8)
    assert mask[..., 0].tolist() == [[1, 1, 0, 0, 0], [1] * 5]
    assert not x[0, 2:].any()


@pytest.mark.parametrize("lengths", [[1], [16], [3, 40, 17, 16]])
def test_experts_pack_in_the_blocks_that_we_have(lengths: list[int]) -> None:
    x, owner, count, rows, belongs = blocked([np.zeros((n, 8), np.float32) for n in lengths])
    ours = Blocks.of(np.array(lengths))
    assert len(x) == len(owner) == sum(lengths)
    assert rows[:, 0].tolist() == ours.starts.tolist()
    assert (rows < len(x)).sum(1).tolist() == ours.sizes.tolist()
    assert belongs.argmax(0).tolist() == ours.owner.tolist()
    assert count.ravel().tolist() == lengths


def test_processes_are_counted_with_their_children_and_ended() -> None:
    script = (
        "import subprocess as s; s.Popen(['sleep', '60'], stdout=-3); print(flush=True); input()"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        (child,) = descendants(parent.pid)
        assert cpu_seconds(parent.pid) > 0
        parent.communicate(b"\n", timeout=30)
    end([child], seconds=0)
    end([child], seconds=10)
    assert descendants(child) == []


def test_a_ratio_is_the_median_of_the_rounds_own() -> None:
    found = verdict("row", "peer", [10, 20, 90], [10, 10, 30], wanted=2.0)
    assert (found.ratio, found.least, found.most, found.met) == (2.0, 1.0, 3.0, True)
    assert not verdict("row", "peer", [19], [10], wanted=2.0).met
    assert verdict("row", "peer", [19], [10], wanted=2.0, at_least=False).met


def test_best_is_the_highest_rate_and_the_lowest_latency() -> None:
    figures = {"ours": [9.0], "a": [1.0, 2.0, 9.0], "b": [3.0, 3.0, 3.0]}
    assert fastest(figures, ["a", "b"]) == "b"
    assert quickest(figures, ["a", "b"]) == "a"


def test_geometric_means_go_round_by_round() -> None:
    rates = {"one": {"a": [1.0, 4.0]}, "two": {"a": [4.0, 9.0]}}
    assert means(rates)["a"] == pytest.approx([2.0, 6.0])
    assert geometric_mean([5.0, 0.0]) == 0


@pytest.mark.parametrize("wire", [BINARY, JSON])
@pytest.mark.parametrize("peer", ["mosec", "triton"])
def test_a_peers_answer_is_read_back(peer: str, wire: str) -> None:
    message = Contender(Setting(peer, 8, 2, 1)).message(wire, X)
    body = body_of(message.prepared)
    if peer == "mosec":
        answer = body.replace(b'{"x":', b'{"y":')
        headers = {}
    else:
        answer = body.replace(b'"inputs"', b'"outputs"')
        size = len(body) - X.nbytes
        headers = {"inference-header-content-length": str(size + 1)}
    assert message.decode(Reply(headers, memoryview(answer))).tobytes() == X.tobytes()


def test_ours_must_be_right_to_the_last_bit_and_peers_nearly() -> None:
    near, off = np.nextafter(X, np.float32(9)), X + np.float32(0.01)
    ours, peer = Contender(), Contender(usual("mosec"))
    assert ours.right(X, X)
    assert not ours.right(near, X)
    assert peer.right(near, X)
    assert not peer.right(off, X)
    assert not peer.right(X[:4], X)


def test_prepared_files_hold_each_request_after_its_length(tmp_path: Path) -> None:
    traffic = Traffic("two words", [X[:1], X])
    bodies = Bodies(tmp_path)
    path = bodies.file(Contender(usual("mosec")), BINARY, traffic)
    wanted = [Contender(usual("mosec")).message(BINARY, x).prepared for x in traffic.sequences]
    assert path.read_bytes() == b"".join(b"%d\n" % len(one) + one for one in wanted)
    assert " " not in path.name


def test_what_wrk_says_is_read_and_failures_are_not_passed_over() -> None:
    line = '{"requests": 30, "seconds": 2.0, "failed": %d, "p50_ms": 1.5, "p99_ms": 9.0}'
    assert closed.parse(f"Running 2s test\n{line % 0}\n").rate == 15
    with pytest.raises(RuntimeError, match="requests failed"):
        closed.parse(line % 1)


def test_cells_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "cells.json"
    Cells(path).put("mosec", ("equal", JSON), {"requests_per_second": 7})
    Cells(path).put("mosec", ("equal", BINARY), {"failed": "why"})
    kept = Cells(path)
    assert kept.rate("mosec", ("equal", JSON)) == 7
    assert kept.rate("mosec", ("equal", BINARY)) == 0
    assert kept.get("other", ("equal", JSON)) is None


def test_candidates_are_the_best_of_the_sweep_and_quiet_pairs_of_threads(tmp_path: Path) -> None:
    cells = Cells(tmp_path / "cells.json")
    settings = {s.name: s for s in swept("mosec")}
    for rate, name in enumerate(settings):
        cells.put(name, FIRST[0], {"requests_per_second": 100 - rate})
        cells.put(name, FIRST[1], {"requests_per_second": rate})
    found = Sweep(Loader({}, {}, Bodies(tmp_path)), cells, 1).candidates("mosec")
    first, second, *_, last = settings.values()
    assert found[:3] == [first, second, last]
    assert [(s.spin, s.threads) for s in found[3:]] == [(False, 2)] * 2


def test_settings_have_names_of_their_own_and_reach_their_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = [*swept("mosec"), usual("mosec"), Setting("mosec", 32, 2, 1, graph=PACKED)]
    assert len({setting.name for setting in settings}) == len(settings) == 18
    for name, value in settings[-1].environment(8000, "graphs").items():
        monkeypatch.setenv(name, value)
    assert Place.here() == Place(settings[-1], 8000, "graphs")
