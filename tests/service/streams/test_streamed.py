"""Streams through an application in this process: what they answer, and what they leave behind."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from service.api import create_app
from service.errors import NotServing, StepFailed
from service.pack import Pack
from service.wires.exchange import ARROW
from tests.conftest import CONFIGS, SHIPPED
from tests.service.client import Client
from tests.service.fakes import service as fakes
from tests.service.streams.conftest import Serving
from tests.service.streams.cuts import draw, lines
from tests.service.streams.talk import Talk, described, run
from tests.service.wires.test_arrow_pieces import stream

SIZES = [[1], [7, 300, 1], [10_000]]


async def in_parts(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def predicted(client: Client, name: str, pack: Pack) -> Any:
    (line,) = lines(pack, [10**9]) or [b"[]"]
    answer = client.post(f"/v1/models/{name}/predict", content=b'{"sequences":[%b]}' % line)
    return answer.json()


def streamed(talk: Talk) -> tuple[Any, dict[str, Any]]:
    """Outputs as a prediction has them, and the last line."""
    *pieces, last = talk.lines
    assert talk.ended
    if "outputs" in last:
        return last["outputs"], last
    return [row for piece in pieces for row in piece["outputs"]], last


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("name", CONFIGS)
def test_the_answer_is_that_of_a_prediction(serving: Serving, name: str, sizes: list[int]) -> None:
    service = serving(shared_ms=0.001)  # so that it is run in pieces of 256 tokens
    tokens = min(1999, described(service, name).max_length or 1999)
    pack = draw(described(service, name), tokens)
    wanted = predicted(Client(create_app(service)), name, pack)
    found, last = streamed(run(service, Talk(lines(pack, sizes)), name))
    assert found == wanted["outputs"][0]
    if "labels" in wanted:
        assert [last["labels"]] == wanted["labels"]
        assert [last["probabilities"]] == wanted["probabilities"]
    assert last["usage"]["tokens"] == tokens


@pytest.mark.parametrize("name", ["plain", "ids", "pooled"])
def test_no_token_is_an_empty_sequence(serving: Serving, name: str) -> None:
    service = serving()
    pack = draw(described(service, name), 0)
    wanted = predicted(Client(create_app(service)), name, pack)["outputs"][0]
    for parts in ([], [b"[]\n"], [b"\n\n"]):
        assert streamed(run(service, Talk(parts), name))[0] == wanted


def test_arrow_in_and_out(serving: Serving) -> None:
    service = serving()
    pack = draw(described(service, "plain"), 5000)
    kind = pa.schema([pa.field("x", pa.list_(pa.list_(pa.float32(), 3)))])
    rows = pack.columns["x"]
    body = stream([[part.tolist()] for part in np.array_split(rows, 17)], kind)
    talk = run(service, Talk([body], {"content-type": ARROW, "accept": ARROW}), "plain")
    table = pa.ipc.open_stream(bytes(talk.sent)).read_all()
    found = [row for piece in table.column("y").to_pylist() for row in piece]
    assert talk.headers["content-type"] == ARROW
    wanted = predicted(Client(create_app(service)), "plain", pack)["outputs"][0]
    np.testing.assert_array_equal(np.asarray(found, np.float32), np.asarray(wanted, np.float32))


def test_arrow_has_outputs_of_the_sequence_in_its_last_row(serving: Serving) -> None:
    service = serving()
    pack = draw(described(service, "stack"), 500)
    talk = run(service, Talk(lines(pack, [99]), {"accept": ARROW}), "stack")
    table = pa.ipc.open_stream(bytes(talk.sent)).read_all()
    wanted = predicted(Client(create_app(service)), "stack", pack)
    np.testing.assert_array_equal(
        np.asarray(table.column("y").to_pylist(), np.float32),
        np.asarray(wanted["outputs"], np.float32),
    )
    assert table.column("y.label").to_pylist() == wanted["labels"]


def test_a_compressed_upload_is_inflated(serving: Serving) -> None:
    service = serving()
    pack = draw(described(service, "plain"), 300)
    body = gzip.compress(b"".join(lines(pack, [10])))
    parts = [body[i : i + 100] for i in range(0, len(body), 100)]
    plain = run(service, Talk(lines(pack, [10])), "plain")
    packed = run(service, Talk(parts, {"content-encoding": "gzip"}), "plain")
    assert streamed(packed)[0] == streamed(plain)[0]


def test_a_model_says_whether_it_streams(serving: Serving) -> None:
    client = Client(create_app(serving()))
    found = {m["name"]: m["streaming"] for m in client.get("/v1/models").json()["models"]}
    assert found == {
        "plain": {"passes": 2},
        "ids": {"passes": 2},
        "stack": {"passes": 3},
        "pooled": {"passes": 1},
    }


def test_the_log_and_the_statistics_have_what_it_took(serving: Serving) -> None:
    service = serving()
    talk = run(service, Talk(lines(draw(described(service, "plain"), 100), [9])), "plain")
    assert (talk.log["model"], talk.log["tokens"], talk.log["passes"]) == ("plain", 100, 2)
    assert talk.log["spool_bytes"] > 0
    assert talk.log["compute_ms"] > 0
    run(service, Talk([b"nonsense\n"]), "plain")
    counts = service.statistics.of("plain", "1")["inference_stats"]
    assert (counts["success"]["count"], counts["fail"]["count"]) == (1, 1)


@pytest.mark.parametrize("accept", ["", ARROW])
@pytest.mark.parametrize("error", [NotServing("shut down"), StepFailed("failed")])
def test_what_goes_wrong_in_the_answer_ends_it_without_an_end(
    serving: Serving, error: Exception, accept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = serving()

    async def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr("service.streams.belt.Belt.alone", fails)
    pack = draw(described(service, "plain"), 500)
    talk = run(service, Talk(lines(pack, [50]), {"accept": accept}), "plain")
    assert talk.status == 200
    assert not talk.ended
    assert talk.cut
    assert (talk.log["status"], talk.log["error"]) == (error.status, str(error))  # type: ignore[attr-defined]
    if not accept:
        assert talk.lines[-1] == {"error": str(error)}


def test_what_is_not_finite_is_a_400_while_that_is_possible(serving: Serving) -> None:
    service = serving()
    rows = np.full((600, 3), 3e38).tolist()
    talk = run(service, Talk([f"{rows}\n".encode()]), "plain")
    assert talk.status == 400
    assert talk.lines == [{"error": "output 'y' is not finite for this input"}]


def test_the_page_has_it() -> None:
    page = Client(create_app(fakes())).get("/openapi.json").json()
    own = page["paths"]["/v1/models/{name}/stream"]["post"]
    assert "application/x-ndjson" in own["requestBody"]["content"]
    assert "507" in own["responses"]


def test_shipped_models_all_stream(tmp_path: Path) -> None:
    from service.bundle import Bundle
    from service.streams.passes import passes

    assert all(passes(Bundle.open(folder).manifest) for folder in SHIPPED.glob("*/1"))
