"""What is not explained, why, and what an explanation leaves behind however it ends."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re

import pytest

from service.api import create_app
from service.application import Service
from service.engine.cost import Cost
from service.engine.job import Job
from service.errors import ClientGone, DeadlinePassed, QueueFull
from service.explain.request import explain
from service.keys import Entry, Keys
from service.protocol import LEFT
from tests.service.client import Client
from tests.service.explain.asking import body_of, manifest_of, path_of
from tests.service.explain.conftest import Serving
from tests.service.explain.models import sequences
from tests.service.fakes import service as fakes
from tests.service.test_gate import bearer
from tests.service.test_metrics import samples
from tests.service.test_prediction import a_request

CASES = [
    ("plain", 3, "model 'plain' cannot be explained: all of its outputs are per token"),
    ("stack", 1, "sequence 0: 1 tokens; without one of them there are 0, the minimum is 1"),
    ("mixed2", 2, "sequence 0: 2 tokens; without one of them there are 1, the minimum is 2"),
    ("stack", 8, "sequence 0: 8 tokens; .* 56 tokens in all, the limit is 50 per request"),
]


def counts(served: Service, name: str, version: str = "1") -> tuple[int, int]:
    parts = served.statistics.of(name, version)["inference_stats"]
    return parts["success"]["count"], parts["fail"]["count"]


@pytest.mark.parametrize(("name", "length", "message"), CASES)
def test_a_400_says_why(serving: Serving, name: str, length: int, message: str) -> None:
    service = serving(explain_tokens=50)
    pack = sequences(manifest_of(service, name), [length])
    answer = Client(create_app(service)).post(path_of(name), json=body_of(pack))
    assert answer.status_code == 400
    assert re.match(message, answer.json()["error"])
    assert counts(service, name) == (0, 1)


def test_runs_that_are_larger_than_a_body_may_be_are_refused(serving: Serving) -> None:
    service = serving(max_inflated_bytes=3000, max_body_bytes=3000)
    body = {"sequences": [[[1, 2, 3]] * 30]}
    answer = Client(create_app(service)).post(path_of("stack"), json=body)
    assert (answer.status_code, "10800 bytes" in answer.json()["error"]) == (400, True)


def test_what_is_wrong_with_a_request_is_said_as_of_a_prediction() -> None:
    client = Client(create_app(fakes()))
    other = {"content-type": "text/plain"}
    assert client.post(path_of("nope"), json={}).status_code == 404
    assert client.get(path_of("vectors")).status_code == 405
    assert client.post(path_of("vectors"), content=b"x", headers=other).status_code == 415
    for rows in (b"", b"[]", b"[[[1]]]", b'[[[1, "x"]]]'):
        body = b'{"sequences": %b}' % rows
        wanted = client.post(path_of("vectors", "predict"), content=body)
        found = client.post(path_of("vectors"), content=body)
        assert (found.status_code, found.json()) == (400, wanted.json())


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[3e38, 3e38], [1, 1]], "sequence 0: output 'y' is not finite for this input"),
        ([[3e38, 3e38], [-3e38, -3e38]], "sequence 0: without token 0 output 'y' is not"),
        (
            [[0, 0], [2e38, 2e38], [-1e38, -1e38], [-1e38, 0]],
            "sequence 0: without token 1 output 'y' changes by more than a 32-bit float can",
        ),
    ],
)
def test_what_is_not_finite_is_named(rows: list[list[float]], message: str) -> None:
    served = fakes()
    answer = Client(create_app(served)).post(path_of("vectors"), json={"sequences": [rows]})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(message)


def test_a_key_s_rate_counts_what_is_run() -> None:
    hashed = hashlib.sha256(b"secret").hexdigest()
    entry = Entry(sha256=hashed, tokens_per_second=1, burst_tokens=9)
    client = Client(create_app(fakes(), keys=Keys({"team": entry})))
    path, body = "/v1/models/ids/explain", {"sequences": [[1, 2, 3]]}
    assert client.post(path, json=body).status_code == 401
    answer = client.post(path, json=body, headers=bearer("secret"))
    assert answer.json()["usage"]["run_tokens"] == 9
    assert client.post(path, json=body, headers=bearer("secret")).status_code == 429


def test_what_is_refused_costs_a_key_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = hashlib.sha256(b"secret").hexdigest()
    entry, served = Entry(sha256=hashed, tokens_per_second=1, burst_tokens=9), fakes()
    client = Client(create_app(served, keys=Keys({"team": entry})))
    path, body, key = "/v1/models/ids/explain", {"sequences": [[1, 2, 3]]}, bearer("secret")
    answer = client.post(path, json=body, headers={**key, "x-request-timeout": "soon"})
    assert (answer.status_code, "X-Request-Timeout" in answer.json()["error"]) == (400, True)

    def full(job: Job) -> None:
        raise QueueFull("full")

    with monkeypatch.context() as patch:
        patch.setattr(served.engine, "admit", full)
        assert client.post(path, json=body, headers=key).json() == {"error": "full"}
    assert client.post(path, json=body, headers=key).status_code == 200


def test_the_log_and_the_statistics_have_what_it_took() -> None:
    async def test() -> None:
        served = fakes()
        asked = a_request(b'{"sequences": [[[1, 2], [3, 4]]]}')
        answer = await explain(served, asked, "vectors")
        assert json.loads(bytes(answer.body))["changes"] == [[[3.0], [7.0]]]
        log = asked.scope["sumserve.log"]
        assert (log["model"], log["tokens"], log["run_tokens"]) == ("vectors", 2, 4)
        assert counts(served, "vectors", "3") == (1, 0)
        page = samples(served)
        for part in ("request", "decode", "queue", "compute", "encode"):
            assert page[f"sumserve_{part}_seconds_count", "vectors", ""] == 1
        assert served.bodies.in_flight == 0

    asyncio.run(test())


def test_a_client_that_leaves_ends_it(serving: Serving) -> None:
    async def test() -> None:
        served = serving(shared_ms=0.001)
        pack = sequences(manifest_of(served, "pooled"), [5000])
        asked = a_request(json.dumps(body_of(pack)).encode())
        task = asyncio.create_task(explain(served, asked, "pooled"))
        while LEFT not in asked.scope["state"]:
            await asyncio.sleep(0)
        asked.scope["state"][LEFT]()
        with pytest.raises(ClientGone):
            await task
        assert counts(served, "pooled") == (0, 1)
        assert (served.engine.requests, served.bodies.in_flight) == (0, 0)

    asyncio.run(test())


class Slow(Cost):
    """A millisecond per token, whatever is observed."""

    def _fitted(self) -> tuple[float, float]:
        return 1e-3, 0.0


def test_one_that_would_be_late_behind_what_others_have_still_to_come_is_refused(
    serving: Serving,
) -> None:
    async def test() -> None:
        served = serving(shared_ms=0.001)
        costs = served.engine.costs["pooled/1"]
        costs.steps = Slow()
        bodies = [
            json.dumps(body_of(sequences(manifest_of(served, "pooled"), [n]))).encode()
            for n in (1500, 400)
        ]
        long = asyncio.create_task(explain(served, a_request(bodies[0]), "pooled"))
        while not costs.answers:  # of its 3 seconds 0.75 are left
            await asyncio.sleep(0)
        late = a_request(bodies[1], {"x-request-timeout": "1"})  # it takes 0.8 by itself
        with pytest.raises(QueueFull, match="seconds are expected"):
            await explain(served, late, "pooled")
        assert (await long).status_code == 200
        assert not sum(served.engine.queued().values())
        assert served.engine.queued_seconds() == 0

    asyncio.run(asyncio.wait_for(test(), 60))


def test_the_time_of_a_request_ends_it(serving: Serving) -> None:
    async def test() -> None:
        served = serving(shared_ms=0.001)
        pack = sequences(manifest_of(served, "pooled"), [5000])
        headers = {"x-request-timeout": "0.0001"}
        asked = a_request(json.dumps(body_of(pack)).encode(), headers)
        with pytest.raises(DeadlinePassed, match=r"within 0\.0001 seconds"):
            await explain(served, asked, "pooled")
        assert counts(served, "pooled") == (0, 1)
        assert (served.engine.requests, served.bodies.in_flight) == (0, 0)

    asyncio.run(test())
