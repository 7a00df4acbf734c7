"""What the runbook says is run against a real server; every alert has its section."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from benchmarks.process import SUMSERVE, ServerProcess, free_port
from service.keys import entry_text, new_key
from tests.conftest import ROOT, SHIPPED
from tests.deploy.haproxy import balancing
from tests.deploy.monitoring import FOLDER
from tests.service.harms import vouch
from tests.service.processes import until

RUNBOOK = ROOT / "deploy" / "RUNBOOK.md"
SECTION = re.compile(r"^(#{2,3}) (.+)\n((?:(?!^#{2,3} ).*\n?)*)", re.M)
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.M | re.S)


def sections() -> dict[str, str]:
    return {title: text for _, title, text in SECTION.findall(RUNBOOK.read_text())}


def alerts() -> dict[str, Mapping[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def anchor(title: str) -> str:
    """As the page's readers have it in a link."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


PRELUDE = BLOCK.findall(RUNBOOK.read_text())[0]
QUOTED = [
    ("SumserveDown", "for a minute", ("for", "1m")),
    ("SumserveNotReady", "for two minutes", ("for", "2m")),
    ("SumserveErrors", "More than 1 %", ("expr", "> 0.01")),
    ("SumserveDeadlines", "More than 5 %", ("expr", "> 0.05")),
    ("SumserveRefusing", "More than 5 %", ("expr", "> 0.05")),
    ("SumserveQueueing", "over 2 s", ("expr", "> 2")),
    ("SumserveSlow", "over a second", ("expr", "> 1")),
    ("SumserveMemoryGrows", "a quarter more than two hours ago", ("expr", "> 1.25")),
    ("SumserveLoopLate", "a quarter of a second late", ("expr", "> 0.25")),
    ("SumserveInputDrifts", "more than one spread", ("expr", "> 1")),
    ("SumserveInputUnknown", "Over a tenth", ("expr", "> 0.1")),
    ("BalancerReplicaOut", "for a minute", ("for", "1m")),
    ("BalancerRetrying", "Over 1 %", ("expr", "> 0.01")),
    ("BalancerErrors", "Over 1 %", ("expr", "> 0.01")),
]
SILENT = {"SumserveWorkerDown"}  # with one worker there is no other
BLOCKS = [(title, block) for title, text in sections().items() for block in BLOCK.findall(text)]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Of a server with keys and a version to come, behind a balancer where there is one."""
    folder = tmp_path_factory.mktemp("runbook")
    models, keys = folder / "models", folder / "keys.toml"
    for name in ("digit_sum", "polynomial"):
        shutil.copytree(SHIPPED / name / "1", models / name / "1")
    shutil.copytree(SHIPPED / "digit_sum" / "1", folder / "new")
    vouch(folder / "new", version="2")
    (client, hashed), (admin, other) = new_key(), new_key()
    keys.write_text(
        entry_text("team-a", hashed, "client", None, None)
        + entry_text("ops", other, "admin", None, None)
    )
    settings = {"keys": keys, "versions": 2, "drift_tokens": 64, "grace_seconds": 2}
    settings["queue_requests"] = 1
    with ExitStack() as stack:
        server = stack.enter_context(ServerProcess(models, **settings))
        about = {"SERVER": server.url, "KEY": client, "OPS": admin, "KEYS": str(keys)}
        about |= {"MODELS": str(models), "NEW": str(folder / "new"), "SPOOL": str(folder)}
        about |= {"PID": str(server.process.pid), "LOG": f"/proc/{server.process.pid}/fd/2"}
        if shutil.which("haproxy"):
            port, stats = free_port(), free_port()
            stack.enter_context(balancing([server.port], port, stats_port=stats))
            about["BALANCER"] = f"http://127.0.0.1:{stats}"
            until(lambda: _answers(port), "HAProxy did not start")
        statuses = partial(_asked, server.url, client)
        assert statuses(1) == {200}
        assert statuses(1, timeout="1e-6") == {504}
        until(lambda: 429 in statuses(8), "nobody is refused")
        path = f"{Path(SUMSERVE).parent}:{os.environ['PATH']}"
        yield {**os.environ, **about, "PATH": path}


def _asked(url: str, key: str, count: int, timeout: str = "60") -> set[int]:
    """The statuses of so many predictions at a time."""

    def ask(_: int) -> int:
        path, headers = "/v1/models/digit_sum/predict", {"X-API-Key": key}
        headers["X-Request-Timeout"] = timeout
        body = {"sequences": [[1, 2] * 5000]}
        return httpx.post(url + path, json=body, headers=headers, timeout=60).status_code

    with ThreadPoolExecutor(count) as clients:
        return set(clients.map(ask, range(count)))


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/v2/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def test_every_metric_that_is_asked_for_has_a_sample(environment: dict[str, str]) -> None:
    asked = set(re.findall(r"metric (sumserve_\w+|process_\w+)", RUNBOOK.read_text()))
    key = {"X-API-Key": environment["KEY"]}
    page = httpx.get(f"{environment['SERVER']}/metrics", headers=key).text
    there = set(re.findall(r"^(\w+)", page, re.M))
    assert asked - there == {"sumserve_worker_up"}  # of several workers only


@pytest.mark.parametrize(
    ("title", "block"), BLOCKS, ids=[f"{i} {title}" for i, (title, _) in enumerate(BLOCKS)]
)
def test_a_block_of_the_runbook_does_what_it_says_and_shows_something(
    title: str, block: str, environment: dict[str, str]
) -> None:
    """In their order: a version comes and goes, and the last one stops the server."""
    if "$BALANCER" in block and "BALANCER" not in environment:
        pytest.skip(f"{title}: not run, there is no haproxy; apt-get install haproxy")
    command = ["bash", "-euo", "pipefail", "-c", f"{PRELUDE}\n{block}"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, (title, done.stdout, done.stderr)
    assert done.stdout.strip() or title in SILENT


def test_blocks_that_are_run_are_many_and_the_last_one_stops_the_server() -> None:
    assert len(BLOCKS) >= 25
    assert "kill -TERM" in BLOCKS[-1][1]


def test_every_metric_that_is_asked_for_is_one_that_a_server_has() -> None:
    """An empty answer would be no error."""
    asked = set(re.findall(r"metric (sumserve_\w+)", RUNBOOK.read_text()))
    text = (ROOT / "docs" / "observability.md").read_text()
    missing = {name for name in asked if f"`{re.sub('_(sum|count)$', '', name)}" not in text}
    assert len(asked) > 15
    assert not missing


def test_every_alert_has_a_section_and_every_section_of_alerts_an_alert() -> None:
    text = RUNBOOK.read_text()
    alerting = text[text.index("## Alerts") : text.index("## What is done on purpose")]
    assert re.findall(r"^### (\w+)$", alerting, re.M) == list(alerts())


def test_every_alert_names_its_section() -> None:
    titles = {anchor(title) for title in sections()}
    for name, said in alerts().items():
        file, _, section = said["annotations"]["runbook_url"].partition("#")
        assert (ROOT / file) == RUNBOOK
        assert section == name.lower()
        assert section in titles


@pytest.mark.parametrize(("title", "words", "rule"), QUOTED)
def test_what_the_runbook_says_of_an_alert_is_what_fires_it(
    title: str, words: str, rule: tuple[str, str]
) -> None:
    field, value = rule
    assert words in sections()[title]
    assert re.search(rf"{re.escape(value)}(?![.\d])", alerts()[title][field])


def test_every_link_of_the_runbook_leads_somewhere() -> None:
    titles = {anchor(title) for title in sections()}
    links = re.findall(r"\]\(([^)]+)\)", RUNBOOK.read_text())
    assert len(links) > 20
    for link in links:
        file, _, section = link.partition("#")
        assert (RUNBOOK.parent / file).exists()
        assert not section or section in titles, link
