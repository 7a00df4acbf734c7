"""The model repository over HTTP, as the Open Inference Protocol has it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from service.api import create_app
from service.application import Service
from service.keys import Entry, Keys
from tests.service.client import Client
from tests.service.repository.folders import add_version, serving

KEYS = Keys(
    {
        "ops": Entry(sha256=hashlib.sha256(b"master").hexdigest(), role="admin"),
        "team": Entry(sha256=hashlib.sha256(b"secret").hexdigest()),
    }
)
MODEL = "/v2/repository/models/plain"


class Asking:
    """Two clients of one server: an admin, and one for models."""

    def __init__(self, service: Service) -> None:
        self._client = Client(create_app(service, keys=KEYS))

    def change(self, path: str, **options: Any) -> Any:
        return self._client.post(path, headers={"Authorization": "Bearer master"}, **options)

    def index(self, **options: Any) -> Any:
        path, headers = "/v2/repository/index", {"Authorization": "Bearer secret"}
        return self._client.post(path, headers=headers, **options)

    def states(self) -> dict[str, str]:
        return {one["version"]: one["state"] for one in self.index().json()}

    def get(self, path: str) -> Any:
        return self._client.get(path, headers={"Authorization": "Bearer secret"})


@pytest.fixture
def asking(bundles: Path, tmp_path: Path) -> Asking:
    add_version(bundles, tmp_path, "plain", "1")
    service = serving(tmp_path)
    add_version(bundles, tmp_path, "plain", "2")
    return Asking(service)


def test_the_index_lists_what_lies_there_and_its_state(asking: Asking) -> None:
    entries = [
        {"name": "plain", "version": "1", "state": "READY", "reason": ""},
        {"name": "plain", "version": "2", "state": "UNAVAILABLE", "reason": "not loaded"},
    ]
    assert asking.index().json() == entries
    assert asking.index(json={"ready": True}).json() == entries[:1]


def test_a_model_is_loaded_and_unloaded(asking: Asking) -> None:
    loaded = asking.change(f"{MODEL}/load", json={})
    assert (loaded.status_code, loaded.content) == (200, b"")
    assert asking.get("/v2/models/plain").json()["versions"] == ["2"]
    asking.change(f"{MODEL}/load", json={"parameters": {"version": "1"}})
    assert asking.states() == {"1": "READY", "2": "READY"}
    asking.change(f"{MODEL}/unload", json={"parameters": {"version": "2"}})
    assert asking.get("/v2/models/plain").json()["versions"] == ["1"]
    assert asking.change(f"{MODEL}/unload").status_code == 200
    assert asking.get("/v2/models/plain").status_code == 404
    assert asking.change(f"{MODEL}/unload").status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"json": {"parameters": {"config": "{}"}}}, 400, "parameters.config: Extra inputs"),
        ({"json": {"parameters": {"file:1/model.onnx": "AAAA"}}}, 400, "Extra inputs"),
        ({"json": {"parameters": {"version": 1}}}, 400, "parameters.version: Input should be a"),
        ({"json": []}, 400, "Input should be"),
        ({"content": b"{"}, 400, "Invalid JSON"),
        ({"json": {"parameters": {"version": "3"}}}, 404, "no version '3' of 'plain'"),
        ({"json": {"parameters": {"version": "../1"}}}, 404, "no version"),
    ],
)
def test_a_load_that_is_none_is_refused(
    asking: Asking, body: dict[str, Any], status: int, message: str
) -> None:
    answer = asking.change(f"{MODEL}/load", **body)
    assert answer.status_code == status
    assert message in answer.json()["error"]
    assert asking.states() == {"1": "READY", "2": "UNAVAILABLE"}


def test_a_model_that_does_not_lie_there_is_not_found(asking: Asking) -> None:
    for name in ("other", "..", "%2e%2e%2fplain"):
        answer = asking.change(f"/v2/repository/models/{name}/load")
        assert answer.status_code in (403, 404)
    assert asking.states() == {"1": "READY", "2": "UNAVAILABLE"}


def test_why_a_bundle_was_not_loaded_is_said_without_a_path(asking: Asking, tmp_path: Path) -> None:
    next((tmp_path / "plain" / "2").glob("*.onnx")).write_bytes(b"")
    answer = asking.change(f"{MODEL}/load")
    assert answer.status_code == 422
    assert "plain/2/" in answer.json()["error"]
    assert str(tmp_path) not in answer.text
    (failed,) = (one for one in asking.index().json() if one["version"] == "2")
    assert failed["reason"] == answer.json()["error"]
