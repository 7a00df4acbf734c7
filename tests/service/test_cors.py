"""Pages of other origins may ask where they are named, and browsers are told."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from service.api import create_app
from service.settings import Settings
from tests.service.client import Client
from tests.service.fakes import service
from tests.service.test_gate import BOTH, bearer

PATH = "/v1/models/vectors/predict"
BODY = {"sequences": [[[1, 2], [3, 4]]]}
HERE, THERE = {"Origin": "https://here.example"}, {"Origin": "https://there.example"}
ASKING = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type, x-request-timeout",
}


def client(origins: str | None, **options: object) -> Client:
    return Client(create_app(service(cors_origins=origins), **options))  # type: ignore[arg-type]


def test_by_default_no_other_origin_is_told_anything() -> None:
    for answer in (
        client(None).post(PATH, json=BODY, headers=HERE),
        client(None).request("OPTIONS", PATH, headers=HERE | ASKING),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.status_code == 405


def test_an_origin_that_is_named_may_ask_and_read_what_is_told() -> None:
    own = client("https://else.example,https://here.example")
    asked = own.request("OPTIONS", PATH, headers=HERE | ASKING)
    assert asked.status_code == 200
    answer = own.post(PATH, json=BODY, headers=HERE)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == HERE["Origin"]
    assert "X-Model" in answer.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in answer.headers


def test_a_page_s_trace_may_go_on_here() -> None:
    asking = {**ASKING, "Access-Control-Request-Headers": "traceparent, tracestate"}
    asked = client("*").request("OPTIONS", PATH, headers=HERE | asking)
    assert asked.status_code == 200


def test_another_origin_is_not() -> None:
    own = client("https://here.example")
    assert own.request("OPTIONS", PATH, headers=THERE | ASKING).status_code == 400
    answer = own.post(PATH, json=BODY, headers=THERE)
    assert "access-control-allow-origin" not in answer.headers


def test_browsers_ask_without_a_key_and_pages_need_one() -> None:
    own = client("*", keys=BOTH)
    assert own.request("OPTIONS", PATH, headers=HERE | ASKING).status_code == 200
    answer = own.post(PATH, json=BODY, headers=HERE)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (401, "*")
    assert own.post(PATH, json=BODY, headers=HERE | bearer("secret")).status_code == 200


@pytest.mark.parametrize("origins", ["here.example", "https://a/", "https://a, https://b", "*,*"])
def test_what_is_no_origin_stops_the_start(origins: str) -> None:
    with pytest.raises(ValidationError):
        Settings(cors_origins=origins)
