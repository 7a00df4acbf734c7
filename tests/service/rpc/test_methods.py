"""All methods over fake sessions; messages are bodies of requests, which is what they become."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from google.protobuf.json_format import MessageToDict

from service.application import Service
from service.errors import Forbidden
from service.gate import role
from service.keys import Entry, Keys
from service.rpc.messages import message, methods
from tests.service.client import Client
from tests.service.fakes import service
from tests.service.rpc.asking import PATH, ask, client, infer_request
from tests.service.wires.oip import floats

X = floats([[1, 2], [3, 4], [5, 6]])
OPEN = {"ServerLive", "ServerReady"}
ADMINS = {"RepositoryModelLoad", "RepositoryModelUnload"}
KEYS = Keys(
    {
        name: Entry(sha256=hashlib.sha256(name.encode()).hexdigest(), role=name)
        for name in ("client", "admin")
    }
)


@pytest.fixture
def served() -> Service:
    found = service(max_request_tokens=20)
    found.readiness.started = True
    return found


@pytest.fixture
def to(served: Service) -> Client:
    return client(served)


def infer(to: Client, tensors: dict[str, Any], **about: Any) -> Any:
    asked = infer_request(tensors, **about)
    return to.post(f"{PATH}/ModelInfer", content=asked.SerializeToString())


def test_the_server_says_that_it_is_there_and_what_it_is(to: Client, served: Service) -> None:
    assert ask(to, "ServerLive").live
    assert ask(to, "ServerReady").ready
    served.readiness.draining = True
    assert not ask(to, "ServerReady").ready
    assert ask(to, "ServerLive").live
    served.readiness.stuck = "the device hangs"
    assert not ask(to, "ServerLive").live
    about = ask(to, "ServerMetadata")
    assert about.name == "sumserve"
    assert "classification" in about.extensions
    assert "binary_tensor_data" not in about.extensions


@pytest.mark.parametrize(
    ("name", "version", "ready"),
    [("vectors", "", True), ("vectors", "3", True), ("vectors", "4", False), ("x", "", False)],
)
def test_a_model_is_ready_if_it_is_served(to: Client, name: str, version: str, ready: bool) -> None:
    assert ask(to, "ModelReady", name=name, version=version).ready == ready


def test_metadata_and_configuration_are_those_over_http(to: Client) -> None:
    about = ask(to, "ModelMetadata", name="vectors")
    assert (about.platform, [*about.versions]) == ("onnxruntime_onnx", ["3"])
    (own,) = about.inputs
    assert (own.name, own.datatype, [*own.shape]) == ("x", "FP32", [-1, 2])
    config = ask(to, "ModelConfig", name="ids").config
    (own,) = config.input
    assert (config.name, config.max_batch_size, own.data_type) == ("ids", 0, 9)
    assert config.WhichOneof("scheduling_choice") == "dynamic_batching"
    assert [*config.version_policy.specific.versions] == [3]
    assert set(config.parameters) == {"lengths", "mask", "pad_value"}


def test_an_inference_is_answered_and_counted(to: Client) -> None:
    given = {"x": X, "lengths": np.array([1, 2])}
    answer = infer(to, given, model_name="vectors", model_version="3", id="7")
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-model"] == "vectors/3"
    found = message("ModelInferResponse").FromString(answer.content)
    np.testing.assert_array_equal(np.frombuffer(found.raw_output_contents[0], "<f4"), [3, 18])
    assert infer(to, {}, model_name="vectors").status_code == 400
    (own,) = ask(to, "ModelStatistics", name="vectors").model_stats
    assert (own.name, own.version, own.inference_count) == ("vectors", "3", 2)
    assert (own.inference_stats.success.count, own.inference_stats.fail.count) == (1, 1)
    assert own.inference_stats.compute_infer.ns > 0
    assert [batch.batch_size for batch in own.batch_stats] == [2]
    every = ask(to, "ModelStatistics").model_stats
    assert [own.name for own in every] == ["ids", "labelled", "vectors"]


def test_the_index_is_that_over_http(to: Client) -> None:
    found = MessageToDict(ask(to, "RepositoryIndex", ready=True))["models"]
    assert {own["state"] for own in found} == {"READY"}
    assert [own["name"] for own in found] == ["ids", "labelled", "vectors"]


REFUSED: dict[str, tuple[int, str, bytes]] = {
    "unknown model 'nope'": (404, "ModelMetadata", b"\x0a\x04nope"),
    "version '4' of model 'ids' is not served": (404, "ModelConfig", b"\x0a\x03ids\x12\x014"),
    "unknown model ''": (404, "ModelInfer", b""),
    "no ModelInferRequest": (400, "ModelInfer", b"\x0a"),
    "no ModelMetadataRequest": (400, "ModelMetadata", b"\x0a"),
    "no ModelConfigRequest": (400, "ModelConfig", b"\x0a\x01\xff"),
    "there is one repository": (400, "RepositoryIndex", b"\x0a\x01r"),
    "larger than the limit of 65536": (413, "ModelStatistics", b"\x0a" * 65537),
    "more than": (400, "ModelInfer", b"\x2a\x00" * 5000),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_cannot_be_answered_is_an_error_that_says_why(to: Client, sentence: str) -> None:
    status, method, body = REFUSED[sentence]
    answer = to.post(f"{PATH}/{method}", content=body)
    assert answer.status_code == status
    assert sentence in answer.json()["error"]


def test_too_much_in_flight_is_refused_and_given_back(served: Service) -> None:
    to, limited = client(served), served.bodies
    limited.count(2**40)
    answer = infer(to, {"x": X}, model_name="vectors")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    limited.count(-(2**40))
    assert infer(to, {"x": X}, model_name="vectors").status_code == 200
    assert limited.in_flight == 0


def test_a_bug_is_a_500_that_says_nothing(
    to: Client, served: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served.catalog, "versions", None)
    answer = to.post(f"{PATH}/ModelMetadata", content=b"\x0a\x03ids")
    assert (answer.status_code, "internal error" in answer.json()["error"]) == (500, True)


def test_every_method_has_a_role_and_no_other_is_let_in() -> None:
    roles = {path.rpartition("/")[2]: role(path) for path in methods()}
    assert {name for name, own in roles.items() if own is None} == OPEN
    assert {name for name, own in roles.items() if own == "admin"} == ADMINS
    for name in ("ModelStreamInfer", "TraceSetting", "", "ModelInfer/", "LogSettings"):
        with pytest.raises(Forbidden):
            role(f"{PATH}/{name}")


@pytest.mark.parametrize("method", sorted(path.rpartition("/")[2] for path in methods()))
def test_a_method_is_for_who_shows_a_key_of_its_role(served: Service, method: str) -> None:
    to, path = client(served, KEYS), f"{PATH}/{method}"
    headers: list[dict[str, str]] = [
        {},
        {"x-api-key": "wrong"},
        {"authorization": "Bearer client"},
        {"x-api-key": "admin"},
    ]
    refused = [to.post(path, headers=own).status_code in (401, 403) for own in headers]
    if method in OPEN:
        assert refused == [False] * 4
    else:
        assert refused == [True, True, method in ADMINS, method not in ADMINS]


@pytest.mark.parametrize("method", sorted(ADMINS))
def test_without_keys_nothing_is_changed(to: Client, method: str) -> None:
    answer = to.post(f"{PATH}/{method}", content=b"\x12\x03ids")
    assert (answer.status_code, "no key of the role admin" in answer.text) == (403, True)
