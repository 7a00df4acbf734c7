"""The Open Inference Protocol's paths, over fake sessions."""

from __future__ import annotations

import gzip
import json
from typing import Any

import numpy as np
import pytest

from service.api import create_app
from service.application import Service
from tests.service.client import Client
from tests.service.fakes import service
from tests.service.wires.oip import as_binary, as_json, floats

MODEL = "/v2/models/vectors"
X = floats([[1, 2], [3, 4], [5, 6]])
HEADER = "Inference-Header-Content-Length"


@pytest.fixture
def served() -> Service:
    found = service(max_body_bytes=2000, max_request_tokens=20)
    found.readiness.started = True
    return found


@pytest.fixture
def client(served: Service) -> Client:
    return Client(create_app(served))


def test_the_server_says_what_it_is_and_can(client: Client) -> None:
    found = client.get("/v2").json()
    assert found["name"] == "sumserve"
    assert "binary_tensor_data" in found["extensions"]
    assert not [name for name in found["extensions"] if "shared_memory" in name]


@pytest.mark.parametrize("path", [MODEL, f"{MODEL}/versions/3"])
def test_a_model_has_metadata_configuration_and_readiness(client: Client, path: str) -> None:
    assert client.get(path).json() == {
        "name": "vectors",
        "versions": ["3"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 1]}],
    }
    found = client.get(f"{path}/config").json()
    assert (found["name"], found["max_batch_size"]) == ("vectors", 0)
    assert found["input"] == [{"name": "x", "data_type": "TYPE_FP32", "dims": [-1, 2]}]
    assert set(found["parameters"]) == {"lengths", "mask", "pad_value"}
    assert found["model_transaction_policy"] == {"decoupled": False}
    assert client.get(f"{path}/ready").json() == {"name": "vectors", "ready": True}


def test_readiness_of_a_model_follows_the_server_s(client: Client, served: Service) -> None:
    served.readiness.draining = True
    found = client.get(f"{MODEL}/ready")
    assert (found.status_code, found.json()) == (503, {"error": "the server is draining"})


@pytest.mark.parametrize("path", [f"{MODEL}/infer", f"{MODEL}/versions/3/infer"])
def test_inference_in_json_and_binary_gives_the_same(client: Client, path: str) -> None:
    tensors = {"x": X, "lengths": np.array([1, 2])}
    plain = client.post(path, content=as_json(tensors, id="7")).json()
    assert (plain["model_name"], plain["model_version"], plain["id"]) == ("vectors", "3", "7")
    assert plain["outputs"] == [
        {"name": "y", "datatype": "FP32", "shape": [2, 1], "data": [3.0, 18.0]}
    ]
    body, header = as_binary(tensors, parameters={"binary_data_output": True})
    found = client.post(path, content=body, headers={HEADER: header})
    assert found.headers["content-type"] == "application/octet-stream"
    raw = found.content[int(found.headers[HEADER]) :]
    np.testing.assert_array_equal(np.frombuffer(raw, "<f4"), [3, 18])


def test_a_raw_body_needs_no_json(client: Client) -> None:
    found = client.post(f"{MODEL}/infer", content=X.tobytes(), headers={HEADER: "0"})
    assert found.status_code == 200
    assert found.content.endswith(floats(21).tobytes())


def test_compression_goes_both_ways_and_lengths_are_those_before_it(client: Client) -> None:
    body, header = as_binary({"x": X})
    headers = {HEADER: header, "Content-Encoding": "gzip", "Accept-Encoding": "gzip"}
    found = client.post(f"{MODEL}/infer", content=gzip.compress(body), headers=headers)
    assert found.headers["content-encoding"] == "gzip"
    assert found.json()["outputs"][0]["data"] == [21.0]


def test_statistics_count_what_was_answered(client: Client) -> None:
    client.post(f"{MODEL}/infer", content=as_json({"x": X}))
    client.post("/v1/models/vectors/predict", content=b'{"sequences": [[[1, 2]], [[3, 4]]]}')
    client.post(f"{MODEL}/infer", content=b"{}")
    (found,) = client.get(f"{MODEL}/stats").json()["model_stats"]
    assert (found["name"], found["version"], found["inference_count"]) == ("vectors", "3", 3)
    assert found["inference_stats"]["success"]["count"] == 2
    assert found["inference_stats"]["fail"]["count"] == 1
    assert found["execution_count"] == 2
    every = client.get("/v2/models/stats").json()["model_stats"]
    assert [one["name"] for one in every] == ["ids", "labelled", "vectors"]


ERRORS: dict[str, tuple[int, str, str]] = {
    "unknown model": (404, "GET", "/v2/models/nope"),
    "unknown model to infer": (404, "POST", "/v2/models/nope/infer"),
    "version": (404, "GET", f"{MODEL}/versions/4"),
    "version to infer": (404, "POST", f"{MODEL}/versions/4/infer"),
    "version of letters": (404, "GET", f"{MODEL}/versions/new/ready"),
    "traversal": (404, "GET", "/v2/models/..%2f..%2fetc/config"),
    "unicode": (404, "GET", "/v2/models/%F0%9F%A6%89/ready"),
    "a long name": (404, "POST", f"/v2/models/{'m' * 10_000}/infer"),
    "slash": (404, "GET", "/v2/models/"),
    "shared memory": (404, "GET", "/v2/systemsharedmemory/status"),
    "trace": (404, "GET", "/v2/trace/setting"),
    "method": (405, "GET", f"{MODEL}/infer"),
    "method of metadata": (405, "POST", "/v2"),
    "empty": (400, "POST", f"{MODEL}/infer"),
}


@pytest.mark.parametrize("what", ERRORS)
def test_every_failure_is_an_error_in_json(client: Client, what: str) -> None:
    status, method, path = ERRORS[what]
    found = client.request(method, path)
    assert found.status_code == status
    assert list(found.json()) == ["error"]
    assert len(found.text) < 300


def test_a_timeout_that_passes_is_a_504(client: Client, served: Service) -> None:
    found = client.post(f"{MODEL}/infer", content=as_json({"x": X}, parameters={"timeout": 1}))
    assert (found.status_code, "within 1e-06 seconds" in found.json()["error"]) == (504, True)


@pytest.mark.parametrize("parameters", [{"timeout": 10**9}, {"priority": 1}, {"timeout": 0}])
def test_parameters_say_how_to_run(client: Client, parameters: dict[str, Any]) -> None:
    content = as_json({"x": X}, parameters=parameters)
    assert client.post(f"{MODEL}/infer", content=content).status_code == 200


@pytest.mark.parametrize("parameters", [{"timeout": -1}, {"priority": "high"}, {"timeout": 1.5}])
def test_parameters_that_mean_nothing_are_refused(
    client: Client, parameters: dict[str, Any]
) -> None:
    found = client.post(f"{MODEL}/infer", content=as_json({"x": X}, parameters=parameters))
    assert (found.status_code, "whole number" in found.json()["error"]) == (400, True)


def test_an_output_that_is_not_finite_is_the_input_s_fault(client: Client) -> None:
    body, header = as_binary({"x": floats([[3e38, 3e38]])})
    found = client.post(f"{MODEL}/infer", content=body, headers={HEADER: header})
    assert (found.status_code, found.json()["error"]) == (
        400,
        "sequence 0: output 'y' is not finite for this input",
    )


def test_the_openapi_page_has_the_bodies(client: Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    post = paths["/v2/models/{name}/infer"]["post"]
    assert set(post["requestBody"]["content"]) == {"application/json", "application/octet-stream"}
    assert "504" in post["responses"]
    assert json.dumps(paths)
