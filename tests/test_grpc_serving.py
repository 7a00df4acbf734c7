"""A server that listens for gRPC: keys, changes, clients that leave, limits, workers, an end."""

from __future__ import annotations

import hashlib
import subprocess
import threading
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from benchmarks.process import SUMSERVE, ServerProcess, free_port
from tests.hostile import MIB, unharmed
from tests.service.processes import until
from tests.service.repository.folders import add_version
from tests.test_grpc import Server, ragged, tensor
from tests.test_leaving import SEQUENCES, STEP, TOKENS, statistics

CLIENT, ADMIN = {"authorization": "Bearer secret"}, {"x-api-key": "master"}
OPEN = "sumserve_open_requests 3.0"
INFER = "/inference.GRPCInferenceService/ModelInfer"


def rows(n: int = 4) -> list[Any]:
    """For the small model `plain`."""
    return [tensor("x", np.ones((n, 3), np.float32), "FP32")]


def ignore(result: Any, error: Any) -> None:
    """What comes of a call."""


@pytest.fixture
def root(bundles: Path, tmp_path: Path) -> Path:
    add_version(bundles, tmp_path / "models", "plain", "1")
    return tmp_path / "models"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    hashed = {key: hashlib.sha256(key.encode()).hexdigest() for key in ("master", "secret")}
    path = tmp_path / "keys.toml"
    path.write_text(
        f'[ops]\nsha256 = "{hashed["master"]}"\nrole = "admin"\n'
        f'[team]\nsha256 = "{hashed["secret"]}"\n'
    )
    return path


def test_models_come_and_go_for_who_shows_the_key_of_an_admin(
    bundles: Path, root: Path, keys: Path
) -> None:
    port = free_port()
    settings: dict[str, object] = {"grpc_port": port, "keys": keys, "grace_seconds": 0}
    with (
        ServerProcess(root, **settings),
        triton.InferenceServerClient(f"127.0.0.1:{port}") as client,
    ):
        assert client.is_server_ready()
        for headers, code in (({}, "UNAUTHENTICATED"), (ADMIN, "PERMISSION_DENIED")):
            with pytest.raises(InferenceServerException) as caught:
                client.infer("plain", rows(), headers=headers)
            assert caught.value.status() == f"StatusCode.{code}"
        with pytest.raises(InferenceServerException, match="is one for clients"):
            client.load_model("plain", headers=CLIENT)
        add_version(bundles, root, "plain", "2")
        client.load_model("plain", headers=ADMIN)
        assert client.infer("plain", rows(), headers=CLIENT).get_response().model_version == "2"
        client.unload_model("plain", headers=ADMIN)
        with pytest.raises(InferenceServerException, match="unknown model 'plain'"):
            client.infer("plain", rows(), headers=CLIENT)
        with pytest.raises(InferenceServerException, match="no model 'other' lies"):
            client.load_model("other", headers=ADMIN)
        with pytest.raises(InferenceServerException, match=r"parameters\.config: Extra inputs"):
            client.load_model("plain", config="{}", headers=ADMIN)


def test_what_a_client_asked_is_dropped_when_it_leaves_or_its_deadline_passes() -> None:
    inputs = [tensor("pixels", np.zeros((9 * SEQUENCES, TOKENS, 3), np.float32), "FP32")]
    steps = 9 * SEQUENCES * TOKENS / STEP  # of one request
    with Server(step_tokens=STEP) as server:
        with triton.InferenceServerClient(server.grpc) as client:
            calls = [client.async_infer("digits", inputs, ignore) for _ in range(3)]
            until(lambda: OPEN in httpx.get(f"{server.url}/metrics").text, "three are open")
            for call in calls:
                call.cancel()
            until(lambda: statistics(server)["failed"] == 3, "the jobs have left")
            left = statistics(server)
            with pytest.raises(InferenceServerException) as caught:
                client.infer("digits", inputs, client_timeout=0.5)
            assert caught.value.status() == "StatusCode.DEADLINE_EXCEEDED"
            until(lambda: statistics(server)["failed"] == 4, "the job has left")
        end = statistics(server)
        logged = [line["status"] for line in server.log_lines() if line.get("path") == INFER]
    assert end["answered"] == 0
    assert left["steps"] < 3 * steps
    assert end["steps"] - left["steps"] < steps
    assert logged[:3] == [499] * 3
    assert logged[3] in (499, 504)


def test_a_message_that_is_compressed_is_not_taken_and_does_not_swell() -> None:
    """Of sixty megabytes of zeros sixty kilobytes are sent, and that is all the server holds."""
    asked = service_pb2.ModelInferRequest(raw_input_contents=[bytes(60 * MIB)])
    with Server() as server, grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary(INFER, service_pb2.ModelInferRequest.SerializeToString)
        with unharmed(server, 30 * MIB), pytest.raises(grpc.RpcError) as caught:
            call(asked, compression=grpc.Compression.Gzip)
        error: Any = caught.value
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED
        with triton.InferenceServerClient(server.grpc) as client:
            assert client.infer("polynomial", ragged()).as_numpy("y").shape == (10, 4)


def test_messages_that_are_too_large_or_made_of_crumbs_cost_nobody_else_anything() -> None:
    large = service_pb2.ModelInferRequest(raw_input_contents=[bytes(200 * MIB)])
    with Server() as server, grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary(INFER)
        for body, code in (
            (large.SerializeToString(), grpc.StatusCode.RESOURCE_EXHAUSTED),
            (b"\x2a\x00" * (15 * MIB), grpc.StatusCode.INVALID_ARGUMENT),
        ):
            with unharmed(server, 100 * MIB), pytest.raises(grpc.RpcError) as caught:
                call(body)
            error: Any = caught.value
            assert error.code() is code


def test_two_workers_listen_on_one_port_and_count_together() -> None:
    with Server(workers=2) as server:
        for _ in range(40):  # each a connection of its own: the kernel chooses a worker for it
            options = [("grpc.use_local_subchannel_pool", 1)]
            with triton.InferenceServerClient(server.grpc, channel_args=options) as client:
                found = client.infer("polynomial", ragged()).as_numpy("y")
                assert found.shape == (10, 4)
        lines = [line for line in server.log_lines() if line.get("path") == INFER]
        with triton.InferenceServerClient(server.grpc) as client:
            (own,) = client.get_inference_statistics("polynomial").model_stats
    assert {line["worker"] for line in lines} == {0, 1}
    assert own.inference_stats.success.count == 40


def test_a_server_that_is_told_to_end_answers_the_calls_it_has() -> None:
    pixels = np.zeros((3 * SEQUENCES, TOKENS, 3), np.float32)
    inputs = [tensor("pixels", pixels, "FP32")]
    answers: list[Any] = []
    done = threading.Event()

    def answered(result: Any, error: Any) -> None:
        answers.append(error or result.as_numpy("digit").shape)
        if len(answers) == 3:
            done.set()

    with Server(step_tokens=STEP) as server:
        with triton.InferenceServerClient(server.grpc) as client:
            for _ in range(3):
                client.async_infer("digits", inputs, answered)
            until(lambda: OPEN in httpx.get(f"{server.url}/metrics").text, "three are open")
            server.terminate()
            assert done.wait(60)
        assert server.process.wait(30) == 0
    assert answers == [(3 * SEQUENCES, 10)] * 3


def test_in_its_grace_a_server_is_not_ready_and_serves_on() -> None:
    with Server(grace_seconds=2) as server, triton.InferenceServerClient(server.grpc) as client:
        server.terminate()
        until(lambda: not client.is_server_ready(), "it drains")
        assert not client.is_model_ready("polynomial")
        assert client.is_server_live()
        assert client.infer("polynomial", ragged()).as_numpy("y").shape == (10, 4)
        assert server.process.wait(30) == 0


def test_a_port_that_is_taken_is_one_line(root: Path) -> None:
    with Server() as server:
        port = server.grpc.rpartition(":")[2]
        command = [SUMSERVE, "serve", "--models", str(root), "--grpc-port", port]
        found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == f"sumserve serve: cannot listen on 127.0.0.1:{port}\n"
