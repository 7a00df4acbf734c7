"""Explanations through an application in this process: what is answered."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from service.api import create_app
from service.classes import softmax
from service.wires.exchange import ARROW
from tests.service.client import Client
from tests.service.explain.asking import (
    body_of,
    by_force,
    largest_difference,
    manifest_of,
    of,
    path_of,
    posted,
)
from tests.service.explain.conftest import Serving
from tests.service.explain.models import check_close, sequences
from tests.service.fakes import service as fakes
from tests.service.wires.test_arrow_pieces import stream

ROUNDED = 2e-6  # two answers in float32, each to 1e-6, and their difference


@pytest.mark.parametrize("name", ["pooled", "mixed", "mixed-timed", "stack"])
def test_changes_are_those_of_predictions_without_the_token(serving: Serving, name: str) -> None:
    service = serving()
    client, manifest = Client(create_app(service)), manifest_of(service, name)
    pack = sequences(manifest, [17, 2, 40] if manifest.min_length else [17, 0, 1, 2, 40])
    found, whole = posted(client, name, pack), posted(client, name, pack, "predict")
    assert (found["model"], found["version"]) == (name, "1")
    assert found.get("labels") == whole.get("labels")
    for output in (own for own in manifest.outputs if own.per == "sequence"):
        wanted = np.array(of(output.name, whole["outputs"]))
        check_close(np.array(of(output.name, found["outputs"])), wanted)
        changes = by_force(client, manifest, pack, output.name, "outputs")
        differ = largest_difference(of(output.name, found["changes"]), changes)
        assert differ <= ROUNDED * np.abs(wanted).max()
        if output.labels:
            changes = by_force(client, manifest, pack, output.name, "probabilities")
            rows = of(output.name, found["probability_changes"])
            assert largest_difference(rows, changes) <= ROUNDED


def test_probabilities_are_those_of_the_logits(serving: Serving) -> None:
    service = serving()
    found = posted(
        Client(create_app(service)), "stack", sequences(manifest_of(service, "stack"), [5])
    )
    logits, changes = np.array(found["outputs"][0]), np.array(found["changes"][0])
    wanted = softmax(logits) - softmax(logits - changes)
    np.testing.assert_allclose(found["probability_changes"][0], wanted, atol=1e-6)
    np.testing.assert_allclose(found["probabilities"][0], softmax(logits), atol=1e-6)


def test_a_long_sequence_is_explained_in_many_pieces(serving: Serving) -> None:
    services = serving(shared_ms=0.001), serving(shared_ms=10_000)
    pack = sequences(manifest_of(services[0], "mixed"), [700, 3, 400])
    cut, whole = (posted(Client(create_app(own)), "mixed", pack) for own in services)
    for output in ("b", "c"):
        rows = of(output, cut["changes"]), of(output, whole["changes"])
        assert largest_difference(*rows) <= ROUNDED * 100
    assert cut["usage"]["tokens"] == 1103
    assert cut["usage"]["run_tokens"] == 2206


@pytest.mark.parametrize("name", ["pooled", "mixed"])
def test_arrow_says_the_same(serving: Serving, name: str) -> None:
    service = serving()
    client, manifest = Client(create_app(service)), manifest_of(service, name)
    pack = sequences(manifest, [3, 0, 20])
    wanted = posted(client, name, pack)
    answer = client.post(path_of(name), json=body_of(pack), headers={"accept": ARROW})
    assert answer.headers["content-type"] == ARROW
    table = pa.ipc.open_stream(answer.content).read_all()
    assert ("c.probability_change" in table.column_names) == (name == "mixed")
    assert "a" not in table.column_names
    for output in (own for own in manifest.outputs if own.per == "sequence"):
        for column, key in (("", "outputs"), (".change", "changes")):
            rows = table.column(f"{output.name}{column}").to_pylist()
            for one, other in zip(of(output.name, wanted[key]), rows, strict=True):
                np.testing.assert_allclose(np.reshape(other, one.shape), one, rtol=1e-6)


def test_a_table_is_read(serving: Serving) -> None:
    service = serving()
    client, pack = Client(create_app(service)), sequences(manifest_of(service, "pooled"), [4, 9])
    kind = pa.schema([pa.field("x", pa.list_(pa.list_(pa.float32(), 2)))])
    body = stream([[part.tolist() for part in pack.split(pack.columns["x"])]], kind)
    answer = client.post(path_of("pooled"), content=body, headers={"content-type": ARROW})
    assert answer.json()["changes"] == posted(client, "pooled", pack)["changes"]


def test_an_answer_is_compressed_where_that_is_accepted(serving: Serving) -> None:
    service = serving()
    client, pack = Client(create_app(service)), sequences(manifest_of(service, "pooled"), [40])
    answer = client.post(path_of("pooled"), json=body_of(pack), headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json()["changes"] == posted(client, "pooled", pack)["changes"]


def test_versions_are_found_by_number(serving: Serving) -> None:
    client = Client(create_app(serving()))
    body = {"sequences": [[[1, 2]]]}
    assert client.post("/v1/models/pooled/versions/1/explain", json=body).status_code == 200
    assert client.post("/v1/models/pooled/versions/2/explain", json=body).status_code == 404
    query = client.post("/v1/models/pooled/explain?version=2", json=body)
    assert query.status_code == 200, "a query chooses no version"


@pytest.mark.parametrize(("name", "counted"), [("pooled", 2 * (1 + 1 + 3)), ("mixed-timed", 11)])
def test_an_empty_sequence_counts_as_the_place_it_takes(
    serving: Serving, name: str, counted: int
) -> None:
    service = serving()
    pack = sequences(manifest_of(service, name), [0, 3, 0])
    found = posted(Client(create_app(service)), name, pack)
    assert found["usage"]["run_tokens"] == counted


def test_the_page_has_it() -> None:
    page = Client(create_app(fakes())).get("/openapi.json").json()
    own = page["paths"]["/v1/models/{name}/versions/{version}/explain"]["post"]
    assert ARROW in own["requestBody"]["content"]
    assert {"400", "429", "504"} <= set(own["responses"])
    assert "changes" in page["components"]["schemas"]["Explanation"]["properties"]
