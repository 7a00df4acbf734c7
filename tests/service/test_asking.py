from __future__ import annotations

import pytest
from starlette.requests import Request

from service.asking import asked_timeout, client
from service.errors import BadRequest


def request(*headers: tuple[str, str], host: str = "10.0.0.1") -> Request:
    pairs = [(name.encode(), value.encode()) for name, value in headers]
    return Request({"type": "http", "headers": pairs, "client": (host, 5)})


def test_who_shows_the_same_key_is_one_wherever_it_sends_from() -> None:
    one = client(request(("x-api-key", "secret")))
    assert one == client(request(("x-api-key", "secret"), host="10.0.0.2"))
    assert one != client(request(("authorization", "Bearer other")))
    assert "secret" not in one


def test_without_a_key_it_is_the_address() -> None:
    assert client(request()) == "10.0.0.1"
    assert client(Request({"type": "http", "headers": [], "client": None})) == ""


def test_the_timeout_is_in_seconds() -> None:
    assert asked_timeout({"x-request-timeout": "0.25"}) == 0.25
    assert asked_timeout({}) is None


@pytest.mark.parametrize("text", ["", "soon", "0", "-1", "nan", "inf", "1e999"])
def test_what_is_no_time_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadRequest, match="X-Request-Timeout"):
        asked_timeout({"x-request-timeout": text})
