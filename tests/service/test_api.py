from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncIterator

import pytest

from service.api import create_app
from service.application import Service
from service.errors import QueueFull
from tests.service.client import Client
from tests.service.fakes import MANIFESTS, service

PREDICT = "/v1/models/vectors/predict"
GOOD = '{"sequences": [[[1, 2], [3, 4]], [[5, 6]]]}'


async def in_chunks(*chunks: bytes) -> AsyncIterator[bytes]:
    """A body without a length."""
    for chunk in chunks:
        yield chunk


@pytest.fixture
def served() -> Service:
    return service(max_body_bytes=1000, max_request_tokens=20)


@pytest.fixture
def client(served: Service) -> Client:
    return Client(create_app(served))


def test_a_prediction_answers_every_sequence(client: Client) -> None:
    found = client.post(PREDICT, content=GOOD)
    assert found.status_code == 200
    body = found.json()
    assert (body["model"], body["version"], body["outputs"]) == ("vectors", "3", [[10.0], [11.0]])
    assert body["usage"]["tokens"] == 3


def test_a_missing_content_type_means_json(client: Client) -> None:
    found = client.post(PREDICT, content=GOOD)
    assert "content-type" not in found.request.headers
    assert found.status_code == 200


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"Content-Type": "text/plain"}, "Content-Type 'text/plain'"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "Content-Type"),
        ({"Content-Encoding": "br"}, "Content-Encoding 'br'"),
    ],
)
def test_other_media_are_refused(client: Client, headers: dict[str, str], message: str) -> None:
    found = client.post(PREDICT, content=GOOD, headers=headers)
    assert found.status_code == 415
    assert message in found.json()["error"]


def test_json_with_a_charset_is_json(client: Client) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert client.post(PREDICT, content=GOOD, headers=headers).status_code == 200


def test_a_large_body_is_refused_by_its_length_or_while_it_streams(client: Client) -> None:
    known = client.post(PREDICT, content=b" " * 1001)
    streamed = client.post(PREDICT, content=in_chunks(b" " * 600, b" " * 600))
    for found in (known, streamed):
        assert found.status_code == 413
        assert "1000" in found.json()["error"]
        assert found.headers["connection"] == "close"


def test_an_empty_body_is_refused(client: Client) -> None:
    found = client.post(PREDICT)
    assert (found.status_code, "empty" in found.json()["error"]) == (400, True)


def test_unknown_models_paths_and_methods_have_one_shape_of_error(client: Client) -> None:
    answers = {
        404: [
            client.post("/v1/models/nope/predict", content=GOOD),
            client.get("/v1/nope"),
            client.get("/v1/models/nope"),
        ],
        405: [client.get(PREDICT), client.post("/v1/models"), client.request("PUT", PREDICT)],
    }
    for status, found in answers.items():
        for answer in found:
            assert answer.status_code == status
            assert list(answer.json()) == ["error"]
    assert answers[405][0].headers["allow"] == "POST"


def test_too_many_tokens_are_refused_with_the_limit(client: Client) -> None:
    found = client.post(PREDICT, content=json.dumps({"sequences": [[[0, 0]] * 21]}))
    assert found.status_code == 400
    assert "21 tokens, the limit is 20" in found.json()["error"]


def test_a_full_queue_answers_429_with_retry_after(
    client: Client, served: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise QueueFull("full")

    monkeypatch.setattr(type(served.engine), "predict", full)
    found = client.post(PREDICT, content=GOOD)
    assert (found.status_code, found.headers["retry-after"]) == (429, "1")


def test_a_bug_answers_500_without_telling_anything(
    client: Client, served: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def bug(*_: object) -> None:
        raise ZeroDivisionError("/secret/path")

    monkeypatch.setattr(type(served.engine), "predict", bug)
    found = client.post(PREDICT, content=GOOD)
    assert found.status_code == 500
    assert "secret" not in found.text
    assert found.headers["x-request-id"]


def test_an_output_that_is_not_finite_is_the_input_s_fault(client: Client) -> None:
    content = json.dumps({"sequences": [[[3e38, 3e38]]]})
    found = client.post(PREDICT, content=content)
    assert (found.status_code, "not finite" in found.json()["error"]) == (400, True)


def test_models_are_listed_without_their_files(client: Client) -> None:
    listed = client.get("/v1/models").json()["models"]
    assert [m["name"] for m in listed] == sorted(MANIFESTS)
    one = client.get("/v1/models/vectors").json()
    assert one in listed
    assert one["columns"] == [{"kind": "vector", "name": "x", "width": 2, "dtype": "float32"}]
    assert (one["min_length"], one["max_length"]) == (1, 50)
    assert not {"files", "stages"} & set(one)


def test_readiness_follows_starting_and_draining(client: Client, served: Service) -> None:
    assert client.get("/v2/health/ready").json() == {"error": "the server is starting"}
    served.readiness.started = True
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    served.readiness.draining = True
    found = client.get("/v2/health/ready")
    assert (found.status_code, found.json()) == (503, {"error": "the server is draining"})
    assert found.headers["connection"] == "close"
    assert client.get("/v2/health/live").status_code == 200
    assert client.post(PREDICT, content=GOOD).status_code == 200


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready"])
def test_health_may_be_asked_for_without_its_text(
    client: Client, served: Service, path: str
) -> None:
    served.readiness.started = True
    assert client.request("HEAD", path).status_code == 200
    served.readiness.stuck = "a run cannot be stopped"
    assert client.request("HEAD", path).status_code == 503


def test_docs_and_schema_are_served(client: Client) -> None:
    assert client.get("/docs").status_code == 200
    paths = client.get("/openapi.json").json()["paths"]
    post = paths["/v1/models/{name}/predict"]["post"]
    assert "sequences" in json.dumps(post["requestBody"])
    assert {"200", "400", "413", "415", "429", "503"} <= set(post["responses"])


def test_one_log_line_tells_a_request_s_story(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "sumserve.access"):
        found = client.post(PREDICT, content=GOOD, headers={"X-Request-Id": "mine-1"})
        client.post(PREDICT, content="{}")
    good, bad = (record.fields for record in caplog.records)  # type: ignore[attr-defined]
    assert found.headers["x-request-id"] == "mine-1"
    assert (good["request_id"], good["status"], good["model"]) == ("mine-1", 200, "vectors")
    assert good["tokens"] == 3
    assert {"queue_ms", "compute_ms", "duration_ms", "method", "path", "client"} <= set(good)
    assert (bad["status"], bad["error"]) == (400, "missing field 'sequences'")


@pytest.mark.parametrize("given", ["a b", "x" * 200, 'in"jected', ""])
def test_a_request_id_that_could_harm_a_log_is_replaced(client: Client, given: str) -> None:
    found = client.get("/v2/health/live", headers={"X-Request-Id": given})
    assert found.headers["x-request-id"] != given
    assert re.fullmatch("[0-9a-f]{16}-[0-9a-f]+", found.headers["x-request-id"])
