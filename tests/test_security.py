"""SECURITY.md: what it cites is there; and what it says that nothing else tests."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from benchmarks.process import ServerProcess
from service.streams.spool import Space, Spool
from tests.conftest import ROOT
from tests.hostile import PREDICT
from tests.service.processes import until

TEXT = (ROOT / "SECURITY.md").read_text()
CITED = sorted(set(re.findall(r"`((?:tests|benchmarks|deploy)/[\w/.]+(?:::\w+)?)`", TEXT)))


@pytest.mark.parametrize("cited", CITED)
def test_what_is_cited_is_there(cited: str) -> None:
    file, _, name = cited.partition("::")
    assert (ROOT / file).is_file()
    assert not name or f"def {name}(" in (ROOT / file).read_text()


def test_every_threat_has_a_test() -> None:
    table = TEXT[TEXT.index("## Threats") : TEXT.index("## At the balancer")]
    rows = [line for line in table.splitlines() if line.startswith("| ") and "---" not in line][1:]
    assert len(rows) > 20
    assert all("tests/" in row.rsplit("|", 2)[1] for row in rows)


WORDS = ['a"b', "{'level': 'error'}", "\x1b[31mred", "ü\N{LINE SEPARATOR}x"]


@pytest.mark.parametrize("word", WORDS)
def test_words_of_a_client_stay_within_their_line_of_the_log(
    server: ServerProcess, word: str
) -> None:
    path = f"/v1/models/{quote(word)}/predict"
    headers = {"X-Request-Id": "inject me\tx", "User-Agent": "a b"}
    before = len(server.log_lines())
    answer = httpx.post(f"{server.url}{path}", json={"sequences": []}, headers=headers)
    assert answer.status_code in (403, 404)
    lines = until(lambda: server.log_lines()[before:], "nothing was logged")
    assert all(set(line) >= {"time", "level", "message"} for line in lines)
    assert "inject" not in json.dumps(lines)


@pytest.mark.parametrize("path", ["/", PREDICT, "/nowhere", "/v2/health/ready"])
def test_no_header_tells_what_serves(server: ServerProcess, path: str) -> None:
    for method in ("GET", "POST"):
        headers = httpx.request(method, f"{server.url}{path}", content=b"{").headers
        assert not {"server", "x-powered-by", "via"} & set(headers)


def test_what_a_stream_keeps_has_no_name_on_the_disk(tmp_path: Path) -> None:
    spool = Spool(Space(tmp_path, 2**20, 2**20), memory_bytes=1)
    file = spool._file
    file.write(b"x" * 100)
    file.rollover()
    assert Path(f"/proc/self/fd/{file.fileno()}").exists()
    assert list(tmp_path.iterdir()) == []
    spool._shut()
