"""Streams to a real server: equal to predictions, bounded in memory, and no hindrance to others."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import IncompleteRead
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from benchmarks.process import ServerProcess
from benchmarks.upload import ARROW, Upload, chunk
from service.bundle import Bundle
from tests.conftest import SHIPPED
from tests.service.streams.cuts import draw, lines
from tests.streaming import MIB, SHORT, batches, logged, resident, serving, spools, tokens, until

NAMES = sorted(folder.name for folder in SHIPPED.iterdir())


@pytest.mark.parametrize("sizes", [[1], [1, 9, 700], [4000]], ids=str)
def test_a_stream_is_answered_as_a_prediction(tmp_path: Path, sizes: list[int]) -> None:
    with serving(tmp_path, SHIPPED) as process:
        for name in NAMES:
            pack = draw(Bundle.open(SHIPPED / name / "1").manifest, 9001)
            (whole,) = lines(pack, [9001])
            url = f"{process.url}/v1/models/{name}/predict"
            wanted = httpx.post(url, content=b'{"sequences":[%b]}' % whole).json()
            with Upload(process.port, name) as upload:
                upload.write(b"".join(map(chunk, lines(pack, sizes))))
                *pieces, last = map(json.loads, upload.end().read().splitlines())
            found: Any = last.get("outputs", [row for one in pieces for row in one["outputs"]])
            assert found == wanted["outputs"][0], name
            assert last["usage"]["tokens"] == 9001


@contextmanager
def others(process: ServerProcess) -> Iterator[list[int]]:
    """Somebody who asks for short answers all the while; their statuses."""
    found, over = list[int](), threading.Event()

    def ask() -> None:
        url = f"{process.url}/v1/models/digit_sum/predict"
        while not over.is_set():
            found.append(httpx.post(url, content=SHORT, timeout=60).status_code)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def test_two_million_tokens_take_little_memory_and_nothing_of_the_disk(tmp_path: Path) -> None:
    """Of a pooled model. Short requests are answered all the while."""
    ids = np.arange(50_000) % 9 + 1
    schema, batch = batches(ids)
    with (
        serving(tmp_path, SHIPPED) as process,
        Upload(process.port, "digit_sum", ARROW) as upload,
        others(process) as found,
    ):
        upload.send(schema)
        upload.send(batch)
        until(lambda: len(found) > 3)
        before, most = resident(process), 0
        for _ in range(39):
            upload.send(batch)
            most = max(most, resident(process))
            assert not spools(process, tmp_path)
        answered = len(found)
        last = json.loads(upload.end().read())
    assert last["usage"]["tokens"] == 2_000_000
    assert last["outputs"][0] == pytest.approx(40 * ids.sum(), rel=1e-3)
    assert most - before < 32 * MIB
    assert answered > 10
    assert set(found) == {200}


def test_an_answer_that_nobody_reads_is_not_piled_up(tmp_path: Path) -> None:
    with serving(tmp_path, SHIPPED, body_seconds=2) as process:
        with Upload(process.port, "polynomial", room=4096) as upload:
            upload.write(tokens(600_000))
            before = resident(process)
            upload._socket.sendall(b"0\r\n\r\n")
            most = before
            while not logged(process, "polynomial"):
                most = max(most, resident(process))
        (line,) = logged(process, "polynomial")
        assert (line["status"], line["tokens"]) == (499, 600_000)
        assert "read nothing of its answer for 2 seconds" in line["error"]
        assert most - before < 32 * MIB  # the answer has 30 MB of JSON
        until(lambda: not spools(process, tmp_path))


def test_a_bad_line_is_named_while_the_client_is_still_writing(tmp_path: Path) -> None:
    with (
        serving(tmp_path, SHIPPED, body_seconds=1) as process,
        Upload(process.port, "digit_sum") as upload,
    ):
        upload.write(chunk(b"[1, 2, 3]\n" * 9999 + b"[1, 20]\n" + b"[1]\n" * 9999))
        answer = upload.answer()
        assert answer.status == 400
        said = json.loads(answer.read())["error"]
        assert said == "line 10000: digits[0][1]: id 20 is outside 1..9"


def test_an_upload_that_stops_is_a_408(tmp_path: Path) -> None:
    with (
        serving(tmp_path, SHIPPED, body_seconds=1) as process,
        Upload(process.port, "digit_sum") as upload,
    ):
        upload.write(chunk(b"[1, 2, 3]\n[4,"))
        answer = upload.answer()
        assert answer.status == 408
        assert "stopped or came too slowly after 13 bytes" in json.loads(answer.read())["error"]


def test_past_its_own_time_a_stream_is_a_504(tmp_path: Path) -> None:
    def slowly() -> Iterator[bytes]:
        for _ in range(15):
            yield b"[1, 2, 3]\n"
            time.sleep(0.1)

    with serving(tmp_path, SHIPPED) as process:
        url = f"{process.url}/v1/models/digit_sum/stream"
        kind = {"content-type": "application/x-ndjson"}
        answer = httpx.post(url, content=slowly(), headers=kind | {"x-request-timeout": "0.5"})
        assert answer.status_code == 504
        assert answer.json() == {"error": "the stream was not over within 0.5 seconds"}
        assert httpx.post(url, content=slowly(), headers=kind).json()["usage"]["tokens"] == 45


def test_a_full_spool_is_said_while_the_client_is_still_writing(tmp_path: Path) -> None:
    limit = {"max_stream_spool_bytes": 10**6, "body_seconds": 1}
    with (
        serving(tmp_path, SHIPPED, **limit) as process,
        Upload(process.port, "polynomial") as upload,
    ):
        upload.write(tokens(100_000))
        answer = upload.answer()
        assert answer.status == 507
        said = json.loads(answer.read())["error"]
        assert "more than the limit of 1000000 bytes per stream" in said


def test_an_answer_that_ends_early_does_not_look_whole(tmp_path: Path) -> None:
    """The server shuts down and waits no longer."""
    with serving(tmp_path, SHIPPED, drain_seconds=0) as process:
        with Upload(process.port, "polynomial", room=4096) as upload:
            upload.write(tokens(600_000))
            answer = upload.end()
            answer.readline()
            process.terminate()
            with pytest.raises(IncompleteRead) as cut:
                answer.read()
        until(lambda: logged(process, "polynomial"))
        (line,) = logged(process, "polynomial")
        levels = {one["level"] for one in process.log_lines()}
    assert "error" not in levels, "as it is where the server below has to cut it"
    assert line["status"] == 503
    assert json.loads(cut.value.partial.splitlines()[-1])["error"] == line["error"]
