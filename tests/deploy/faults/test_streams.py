"""Streams and gRPC through the balancer."""

from __future__ import annotations

import http.client
import signal
import threading
from collections import Counter
from contextlib import ExitStack

import httpx
import numpy as np
import tritonclient.grpc as triton

from benchmarks.upload import Upload
from tests.deploy.faults.balanced import BALANCERS, Balanced
from tests.deploy.faults.conftest import Measured
from tests.deploy.faults.harm import one_by_one
from tests.streaming import tokens, until

MODEL = "polynomial"
COMPUTED = 'model="polynomial",outcome="computed"'
CALLS = 300


@BALANCERS
def test_a_stream_is_computed_while_it_is_uploaded(kind: str) -> None:
    with Balanced(kind) as balanced, Upload(balanced.port, MODEL) as upload:
        upload.write(tokens(50_000))
        until(lambda: balanced.metric("sumserve_tokens_total", COMPUTED) >= 10_000)
        upload.write(tokens(50_000))
        answer = upload.end()
        assert (answer.status, b'"tokens":100000' in answer.read().replace(b" ", b"")) == (
            200,
            True,
        )


@BALANCERS
def test_a_stream_whose_replica_is_killed_does_not_look_whole_and_is_not_repeated(
    kind: str,
) -> None:
    with Balanced(kind) as balanced, Upload(balanced.port, MODEL) as upload:
        upload.write(tokens(50_000))
        until(lambda: balanced.metric("sumserve_open_streams") == 1)
        (own,) = (r for r in balanced.replicas if _open(r.url))
        own.process.send_signal(signal.SIGKILL)
        own.process.wait()
        whole = False
        try:
            upload.write(tokens(50_000))
            answer = upload.end()
            whole = answer.status == 200 and b"usage" in answer.read()
        except (OSError, http.client.HTTPException):
            pass
        (other,) = (r for r in balanced.replicas if r is not own)
        assert not whole
        assert not _open(other.url)
        own.again()


def _open(url: str) -> bool:
    return "sumserve_open_streams 1.0" in httpx.get(f"{url}/metrics").text


def test_calls_over_grpc_survive_a_restart_of_every_replica(measured: Measured) -> None:
    own = triton.InferInput("pixels", [50, 3], "FP32")
    own.set_data_from_numpy(np.random.default_rng(0).random((50, 3), np.float32))
    found: Counter[str] = Counter()
    with ExitStack() as stack:
        balanced = stack.enter_context(Balanced("haproxy", grace_seconds=3))
        direct = f"127.0.0.1:{balanced.replicas[0].grpc_port}"
        with triton.InferenceServerClient(direct) as client:
            wanted = str(client.infer("digits", [own]).as_numpy("digit").argmax())
        url = f"127.0.0.1:{balanced.grpc_port}"
        client = stack.enter_context(triton.InferenceServerClient(url))
        restarts = threading.Thread(target=one_by_one, args=[balanced.replicas])
        restarts.start()
        while restarts.is_alive() or found.total() < CALLS:
            try:
                answer = client.infer("digits", [own], client_timeout=30).as_numpy("digit")
                found[str(answer.argmax())] += 1
            except triton.InferenceServerException as error:
                found[str(error)] += 1
        restarts.join()
    total = found.total()
    measured("restart of every replica, gRPC", f"{total - found[wanted]} of {total:,} failed")
    assert found == {wanted: total}
