"""Every route has a role, and what has none is for nobody."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from fastapi.routing import APIRoute

from service.api import create_app
from service.errors import Forbidden
from service.gate import Gate, role
from service.keys import Entry, Keys
from service.routes import docs, page
from tests.service.client import Client
from tests.service.fakes import service

LOAD = "/v2/repository/models/ids/load"
GOOD = {"sequences": [[[1, 2], [3, 4]]]}
OPEN = {"/v2/health/live", "/v2/health/ready", *page.PATHS, *docs.PATHS}
ADMINS = {f"/v2/repository/models/{{name}}/{what}" for what in ("load", "unload")}


def keys(**roles: str) -> Keys:
    hashed = {key: hashlib.sha256(key.encode()).hexdigest() for key in roles}
    return Keys({f"{key}-key": Entry(sha256=hashed[key], role=r) for key, r in roles.items()})


BOTH = keys(secret="client", master="admin")


def client(known: Keys | None = BOTH) -> Client:
    return Client(create_app(service(), keys=known))


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_every_route_has_a_role() -> None:
    inner: Any = create_app(service())
    while not hasattr(inner, "routes"):
        inner = inner._app
    paths = {getattr(route, "path", "") for route in inner.routes}
    routes = {route.path for route in inner.routes if isinstance(route, APIRoute)}
    assert len(routes) > 10
    roles = {path: role(path.replace("{name}", "a b").replace("{version}", "1")) for path in paths}
    assert {path for path, own in roles.items() if own is None} == OPEN
    assert {path for path, own in roles.items() if own == "admin"} == ADMINS


@pytest.mark.parametrize(
    "path",
    ["", "/v3", "/v1/models/", "/v1/models/a/b", "/v2/health/live/", "//v2", "/metrics/x"],
)
def test_what_has_no_role_is_for_nobody(path: str) -> None:
    with pytest.raises(Forbidden):
        role(path)
    if path.startswith("/v"):
        assert client().get(path, headers=bearer("secret")).status_code == 403


def test_health_needs_no_key_and_everything_else_does() -> None:
    asked = client()
    assert asked.get("/v2/health/live").status_code == 200
    for path in ("/v1/models", "/v2", "/metrics", "/openapi.json", "/v2/models/ids"):
        answer = asked.get(path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json() == {"error": "this server wants a key: Authorization: Bearer <key>"}
        assert asked.get(path, headers=bearer("secret")).status_code == 200
        assert asked.get(path, headers={"X-API-Key": "secret"}).status_code == 200


def test_a_prediction_needs_a_client_s_key() -> None:
    asked, path = client(), "/v1/models/vectors/predict"
    assert asked.post(path, json=GOOD).status_code == 401
    assert asked.post(path, json=GOOD, headers=bearer("Secret")).status_code == 401
    assert asked.post(path, json=GOOD, headers=bearer("master")).status_code == 403
    assert asked.post(path, json=GOOD, headers=bearer("secret")).status_code == 200
    other = {"Authorization": "Basic secret"}
    assert asked.post(path, json=GOOD, headers=other).status_code == 401


def test_the_host_header_changes_nothing() -> None:
    hostile = {"Host": "test/v2/health/live?", **bearer("wrong")}
    assert client().get("/v1/models", headers=hostile).status_code == 401


def test_what_is_served_is_changed_with_an_admin_s_key_only() -> None:
    asked = client()
    assert asked.post(LOAD).status_code == 401
    assert asked.post(LOAD, headers=bearer("secret")).status_code == 403
    assert asked.post(LOAD, headers=bearer("master")).status_code in (404, 422)


@pytest.mark.parametrize("known", [None, keys(secret="client")])
def test_without_an_admin_s_key_nothing_is_changed(known: Keys | None) -> None:
    answer = client(known).post(LOAD, headers=bearer("secret"))
    assert answer.status_code == 403
    assert "no key of the role admin" in answer.json()["error"]


@pytest.mark.parametrize("known", [None, BOTH])
@pytest.mark.parametrize("end", ["%0A", "%0D", "%0A%0A", "%00", "%E2%80%A8"])
def test_a_path_with_what_cannot_be_printed_is_for_nobody(known: Keys | None, end: str) -> None:
    served = service()
    asked = Client(create_app(served, keys=known))
    for path in ("/v2/repository/models/ids/unload", LOAD, "/v1/models"):
        assert asked.post(path + end, headers=bearer("secret")).status_code == 403
    assert served.catalog.find("ids")


def test_a_rate_is_the_key_s() -> None:
    hashed = hashlib.sha256(b"secret").hexdigest()
    entry = Entry(sha256=hashed, tokens_per_second=1, burst_tokens=3)
    asked = client(Keys({"team": entry}))
    path, own = "/v1/models/vectors/predict", bearer("secret")
    assert asked.post(path, json=GOOD, headers=own).status_code == 200
    answer = asked.post(path, json=GOOD, headers=own)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"
    assert "'team' has used up its rate" in answer.json()["error"]


def test_the_gate_leaves_other_scopes_alone() -> None:
    seen = []

    async def app(scope: object, receive: object, send: object) -> None:
        seen.append(scope)

    nothing: Any = None
    coroutine: Any = Gate(app, BOTH)({"type": "lifespan"}, nothing, nothing)
    with pytest.raises(StopIteration):
        coroutine.send(None)
    assert seen == [{"type": "lifespan"}]
