"""Triton's gRPC client against a real server: whole sessions, and every answer that over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as aio
import tritonclient.http
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from benchmarks.process import ServerProcess, free_port
from service.pack import Array
from tests.conftest import SHIPPED
from tests.test_tritonclient import LENGTHS, MASK, PADDED, X

MOST_BYTES = 200_000


class Server(ServerProcess):
    """With a port for gRPC."""

    def __init__(self, **settings: object) -> None:
        self.grpc = f"127.0.0.1:{free_port()}"
        port = self.grpc.rpartition(":")[2]
        super().__init__(SHIPPED, **{"grpc_port": port, "grace_seconds": 0, **settings})


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    limits = {"max_request_tokens": 5_000, "max_body_bytes": MOST_BYTES}
    with Server(**limits) as process:
        yield process


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    with triton.InferenceServerClient(server.grpc) as found:
        yield found


def tensor(name: str, array: Array, datatype: str, of: Any = triton) -> Any:
    own = of.InferInput(name, list(array.shape), datatype)
    own.set_data_from_numpy(array)
    return own


def ragged(of: Any = triton) -> list[Any]:
    return [tensor("x", X, "FP32", of), tensor("lengths", LENGTHS, "INT64", of)]


def padded(of: Any = triton) -> list[Any]:
    return [tensor("x", PADDED, "FP32", of), tensor("mask", MASK, "BOOL", of)]


def over_http(server: Server, inputs: list[Any], model: str = "polynomial", **options: Any) -> Any:
    with tritonclient.http.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        return client.infer(model, inputs, **options)


def listed(**fields: Any) -> Any:
    """A request with values one by one, as other languages' clients send it."""
    asked = service_pb2.ModelInferRequest(model_name="polynomial", **fields)
    x = asked.inputs.add(name="x", datatype="FP32", shape=X.shape)
    x.contents.fp32_contents.extend(X.ravel().tolist())
    lengths = asked.inputs.add(name="lengths", datatype="INT64", shape=LENGTHS.shape)
    lengths.contents.int64_contents.extend(LENGTHS.tolist())
    return asked


def test_server_and_model_say_that_they_are_there(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("digits", "1")
    assert not client.is_model_ready("digits", "2")
    assert not client.is_model_ready("nothing")
    assert client.get_server_metadata().name == "sumserve"


def test_metadata_and_configuration_are_those_over_http(client: Any, server: Server) -> None:
    for model in ("digits", "digit_sum", "polynomial"):
        wanted = httpx.get(f"{server.url}/v2/models/{model}").json()
        found = client.get_model_metadata(model)
        assert (found.name, [*found.versions]) == (model, wanted["versions"])
        for own, other in zip(found.inputs, wanted["inputs"], strict=True):
            assert {"name": own.name, "datatype": own.datatype, "shape": [*own.shape]} == other
        config = client.get_model_config(model, as_json=True)["config"]
        over = httpx.get(f"{server.url}/v2/models/{model}/config").json()
        assert config["input"][0]["data_type"] == over["input"][0]["data_type"]
        assert config["parameters"] == over["parameters"]


@pytest.mark.parametrize("form", [ragged, padded])
def test_the_bits_of_an_answer_are_those_over_http(client: Any, server: Server, form: Any) -> None:
    found = client.infer("polynomial", form()).as_numpy("y")
    wanted = over_http(server, form(tritonclient.http)).as_numpy("y")
    assert (found.shape, found.tobytes()) == (wanted.shape, wanted.tobytes())


def test_listed_values_are_answered_by_listed_values_of_the_same_bits(
    client: Any, server: Server
) -> None:
    with grpc.insecure_channel(server.grpc) as channel:
        answer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(listed(id="7"))
    assert (answer.id, [*answer.raw_output_contents]) == ("7", [])
    values = np.array(answer.outputs[0].contents.fp32_contents, np.float32)
    wanted = client.infer("polynomial", ragged()).as_numpy("y")
    assert values.tobytes() == wanted.tobytes()


def test_parameters_go_with_a_request(client: Any) -> None:
    batch = tensor("digits", np.array([[1, 2, 3, 0], [9, 9, 0, 0]]), "INT64")
    options = {"parameters": {"pad_value": 0}, "priority": 1, "timeout": 10_000_000}
    found = client.infer("digit_sum", [batch], request_id="a7", **options)
    name = found.get_response().outputs[0].name
    np.testing.assert_allclose(found.as_numpy(name), [[6], [18]], atol=1e-4)
    assert found.get_response().id == "a7"


def test_a_classification_is_that_over_http(client: Any, server: Server) -> None:
    image = np.array([[0, 0, 5], [1, 1, 9]], np.float32)
    asked = [triton.InferRequestedOutput("digit", class_count=3)]
    found = client.infer("digits", [tensor("pixels", image, "FP32")], outputs=asked)
    inputs = [tensor("pixels", image, "FP32", tritonclient.http)]
    outputs = [tritonclient.http.InferRequestedOutput("digit", class_count=3)]
    wanted = over_http(server, inputs, "digits", outputs=outputs)
    assert found.as_numpy("digit").tolist() == wanted.as_numpy("digit").tolist()


def test_both_ports_tell_the_same_statistics(client: Any, server: Server) -> None:
    client.infer("polynomial", ragged())
    found = client.get_inference_statistics("polynomial", as_json=True)["model_stats"]
    (wanted,) = httpx.get(f"{server.url}/v2/models/polynomial/stats").json()["model_stats"]
    (own,) = found
    assert int(own["inference_count"]) == wanted["inference_count"] > 0
    success = own["inference_stats"]["success"]
    assert int(success["ns"]) == wanted["inference_stats"]["success"]["ns"]
    page = httpx.get(f"{server.url}/metrics").text
    assert 'sumserve_requests_total{code="200",model="polynomial",version="1"}' in page


def test_the_index_lists_what_is_served(client: Any) -> None:
    found = client.get_model_repository_index().models
    assert {(own.name, own.version, own.state) for own in found} == {
        (name, "1", "READY") for name in ("digits", "digit_sum", "polynomial")
    }


ERRORS: dict[str, tuple[str, str, list[Any], dict[str, Any]]] = {
    "unknown model 'nothing'": ("NOT_FOUND", "nothing", ragged(), {}),
    "version '7' of model": ("NOT_FOUND", "polynomial", ragged(), {"model_version": "7"}),
    "the width is 4": (
        "INVALID_ARGUMENT",
        "polynomial",
        [tensor("x", X[:, :3].copy(), "FP32")],
        {},
    ),
    "lengths add up to 9": (
        "INVALID_ARGUMENT",
        "polynomial",
        [ragged()[0], tensor("lengths", np.array([3, 6]), "INT64")],
        {},
    ),
    "column 'x' is missing": ("INVALID_ARGUMENT", "polynomial", ragged()[1:], {}),
    "unknown output 'z'": (
        "INVALID_ARGUMENT",
        "polynomial",
        ragged(),
        {"outputs": [triton.InferRequestedOutput("z")]},
    ),
    "not answered within": ("DEADLINE_EXCEEDED", "polynomial", ragged(), {"timeout": 1}),
    "no state is kept": ("INVALID_ARGUMENT", "polynomial", ragged(), {"sequence_id": 5}),
    "must be a finite float32": (
        "INVALID_ARGUMENT",
        "polynomial",
        [tensor("x", np.full((3, 4), np.nan, np.float32), "FP32")],
        {},
    ),
    "6000 tokens, the limit is 5000": (
        "INVALID_ARGUMENT",
        "polynomial",
        [tensor("x", np.ones((6000, 4), np.float32), "FP32")],
        {},
    ),
    "larger than": (
        "RESOURCE_EXHAUSTED",
        "polynomial",
        [tensor("x", np.ones((MOST_BYTES, 4), np.float32), "FP32")],
        {},
    ),
}


@pytest.mark.parametrize("message", ERRORS)
def test_an_error_has_a_code_and_a_message_and_harms_no_other_call(
    client: Any, message: str
) -> None:
    code, model, inputs, options = ERRORS[message]
    with pytest.raises(InferenceServerException, match=message) as caught:
        client.infer(model, inputs, **options)
    assert caught.value.status() == f"StatusCode.{code}"
    assert client.infer("polynomial", ragged()).as_numpy("y").shape == (10, 4)


def test_a_method_that_is_not_there_is_not_found(server: Server) -> None:
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/TraceSetting")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"")
    code: Any = caught.value
    assert code.code() is grpc.StatusCode.UNIMPLEMENTED


def test_an_id_is_taken_and_given_back(server: Server) -> None:
    with grpc.insecure_channel(server.grpc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        _, call = stub.ServerLive.with_call(
            service_pb2.ServerLiveRequest(), metadata=(("x-request-id", "of-mine"),)
        )
    assert dict(call.trailing_metadata())["x-request-id"] == "of-mine"
    (line,) = [own for own in server.log_lines() if own.get("request_id") == "of-mine"]
    assert (line["protocol"], line["method"], line["status"]) == ("grpc", "POST", 200)


def test_an_asyncio_session(server: Server, client: Any) -> None:
    wanted = client.infer("polynomial", ragged()).as_numpy("y")

    async def session() -> None:
        async with aio.InferenceServerClient(server.grpc) as own:
            assert await own.is_server_ready()
            assert (await own.get_model_metadata("polynomial")).name == "polynomial"
            many = [own.infer("polynomial", ragged()) for _ in range(32)]
            for found in await asyncio.gather(*many):
                assert found.as_numpy("y").tobytes() == wanted.tobytes()
            with pytest.raises(InferenceServerException, match="unknown model"):
                await own.infer("nothing", ragged())

    asyncio.run(session())
