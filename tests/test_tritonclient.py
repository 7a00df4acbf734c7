"""The official client against a real server: whole sessions, synchronous and asynchronous."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
import tritonclient.http as http
import tritonclient.http.aio as aio
from tritonclient.utils import InferenceServerException

from benchmarks.process import ServerProcess
from service.bundle import Bundle
from service.graph import Options
from service.pack import Array, Pack
from service.session import Session
from tests.conftest import SHIPPED

X = np.random.default_rng(0).random((10, 4), np.float32)
LENGTHS = np.array([4, 6])
PADDED = np.zeros((2, 6, 4), np.float32)
PADDED[0, :4], PADDED[1] = X[:4], X[4:]
MASK = np.array([[1, 1, 1, 1, 0, 0], [1] * 6], bool)
ENCODINGS = (None, "gzip", "deflate")


@pytest.fixture(scope="module")
def wanted() -> Array:
    """What the bundle itself says."""
    session = Session(Bundle.open(SHIPPED / "polynomial" / "1"), Options())
    return session.run(Pack({"x": X}, LENGTHS))["y"]


def tensor(name: str, array: Array, datatype: str, binary: bool = True) -> http.InferInput:
    own = http.InferInput(name, list(array.shape), datatype)
    own.set_data_from_numpy(array, binary_data=binary)
    return own


def ragged(binary: bool = True) -> list[http.InferInput]:
    return [tensor("x", X, "FP32", binary), tensor("lengths", LENGTHS, "INT64", binary)]


def padded(binary: bool = True) -> list[http.InferInput]:
    return [tensor("x", PADDED, "FP32", binary), tensor("mask", MASK, "BOOL", binary)]


def output(**options: Any) -> list[http.InferRequestedOutput]:
    return [http.InferRequestedOutput("y", **options)]


@pytest.fixture
def client(server: ServerProcess) -> Any:
    found = http.InferenceServerClient(f"127.0.0.1:{server.port}")
    yield found
    found.close()


def test_server_and_model_say_that_they_are_there(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("digits")
    assert client.is_model_ready("digits", "1")
    assert not client.is_model_ready("digits", "2")
    assert not client.is_model_ready("nothing")
    assert client.get_server_metadata()["name"] == "sumserve"
    assert client.get_model_metadata("digits")["inputs"][0]["shape"] == [-1, 3]
    assert client.get_model_config("digits")["max_batch_size"] == 0


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_ragged_and_padded_sequences_in_every_form(
    client: Any, wanted: Array, binary: bool, raw: bool, encoding: str | None
) -> None:
    options = {
        "outputs": output(binary_data=raw),
        "request_compression_algorithm": encoding,
        "response_compression_algorithm": encoding,
    }
    found = client.infer("polynomial", ragged(binary), **options).as_numpy("y")
    np.testing.assert_array_equal(found, wanted)
    batch = client.infer("polynomial", padded(binary), **options).as_numpy("y")
    assert batch.shape == (2, 6, 4)
    np.testing.assert_array_equal(batch[MASK], wanted)
    assert not batch[~MASK].any()


def test_one_sequence_needs_nothing_but_itself(client: Any, wanted: Array) -> None:
    found = client.infer("polynomial", [tensor("x", X[:4], "FP32")], request_id="a7")
    np.testing.assert_array_equal(found.as_numpy("y"), wanted[:4])
    assert found.get_response()["id"] == "a7"


def test_ids_padded_with_a_declared_value(client: Any) -> None:
    batch = tensor("digits", np.array([[1, 2, 3, 0], [9, 9, 0, 0]]), "INT64")
    found = client.infer("digit_sum", [batch], parameters={"pad_value": 0})
    (name,) = [one["name"] for one in found.get_response()["outputs"]]
    np.testing.assert_allclose(found.as_numpy(name), [[6], [18]], atol=1e-4)


def test_an_empty_answer_is_an_empty_array(client: Any) -> None:
    inputs = [tensor("digits", np.empty(0, np.int64), "INT64")]
    (name,) = [one["name"] for one in client.get_model_metadata("digit_sum")["outputs"]]
    assert client.infer("digit_sum", inputs).as_numpy(name).shape == (1, 1)


def test_classification_gives_labels(client: Any) -> None:
    image = np.array([[0, 0, 5], [1, 1, 9]], np.float32)
    inputs = [tensor("pixels", image, "FP32")]
    asked = [http.InferRequestedOutput("digit", class_count=3)]
    found = client.infer("digits", inputs, outputs=asked).as_numpy("digit")
    assert found.shape == (1, 3)
    value, index, label = found[0, 0].decode().split(":")
    assert (index, float(value) > float(found[0, 1].decode().split(":")[0])) == (label, True)


def test_asynchronous_requests_of_the_synchronous_client(client: Any, wanted: Array) -> None:
    pending = [client.async_infer("polynomial", ragged()) for _ in range(8)]
    for one in pending:
        np.testing.assert_array_equal(one.get_result().as_numpy("y"), wanted)


def test_statistics_count_its_requests(client: Any) -> None:
    def count() -> int:
        (found,) = client.get_inference_statistics("polynomial")["model_stats"]
        return int(found["inference_stats"]["success"]["count"])

    before = count()
    client.infer("polynomial", ragged())
    assert count() == before + 1
    assert len(client.get_inference_statistics()["model_stats"]) == 3


ERRORS: dict[str, tuple[str, list[Any], dict[str, Any]]] = {
    "unknown model 'nothing'": ("nothing", ragged(), {}),
    "the width is 4": ("polynomial", [tensor("x", X[:, :3].copy(), "FP32")], {}),
    "lengths add up to 9": (
        "polynomial",
        [ragged()[0], tensor("lengths", np.array([3, 6]), "INT64")],
        {},
    ),
    "column 'x' is missing": ("polynomial", ragged()[1:], {}),
    "unknown output 'z'": (
        "polynomial",
        ragged(),
        {"outputs": [http.InferRequestedOutput("z")]},
    ),
    "not answered within": ("polynomial", ragged(), {"timeout": 1}),
    "no state is kept": ("polynomial", ragged(), {"sequence_id": 5}),
    "must be a finite float32": (
        "polynomial",
        [tensor("x", np.full((3, 4), np.nan, np.float32), "FP32")],
        {},
    ),
}


@pytest.mark.parametrize("message", ERRORS)
def test_errors_arrive_as_the_client_s_own(client: Any, message: str) -> None:
    model, inputs, options = ERRORS[message]
    with pytest.raises(InferenceServerException, match=message):
        client.infer(model, inputs, **options)


def test_an_asyncio_session(server: ServerProcess, wanted: Array) -> None:
    async def session() -> None:
        async with aio.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
            assert await client.is_server_ready()
            assert await client.is_model_ready("polynomial")
            assert (await client.get_model_metadata("polynomial"))["name"] == "polynomial"
            assert (await client.get_inference_statistics("polynomial"))["model_stats"]
            many = [client.infer("polynomial", ragged(i % 2 > 0)) for i in range(16)]
            for found in await asyncio.gather(*many):
                np.testing.assert_array_equal(found.as_numpy("y"), wanted)
            for encoding in ENCODINGS:
                found = await client.infer(
                    "polynomial",
                    padded(),
                    request_compression_algorithm=encoding,
                    response_compression_algorithm=encoding,
                )
                np.testing.assert_array_equal(found.as_numpy("y")[MASK], wanted)
            with pytest.raises(InferenceServerException, match="unknown model"):
                await client.infer("nothing", ragged())

    asyncio.run(session())
