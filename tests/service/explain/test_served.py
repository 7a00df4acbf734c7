"""Explanations by a real server of the shipped bundles."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np

from benchmarks.process import ServerProcess
from service.pack import Array


def asked(server: ServerProcess, name: str, what: str, sequences: list[Any]) -> Any:
    answer = httpx.post(f"{server.url}/v1/models/{name}/{what}", json={"sequences": sequences})
    assert answer.status_code == 200, answer.text
    return answer.json()


def by_force(server: ServerProcess, name: str, tokens: Array) -> Array:
    """What every token changes, by one prediction."""
    others = [np.delete(tokens, i, axis=0).tolist() for i in range(len(tokens))]
    rows = np.array(asked(server, name, "predict", [tokens.tolist(), *others])["outputs"])
    return np.asarray(rows[0] - rows[1:])


def test_digits_of_a_sum_change_it_by_themselves(server: ServerProcess) -> None:
    """The shipped model of no layer: tokens are taken away from its sums."""
    sets = [np.random.default_rng(n).integers(1, 10, n) for n in (0, 1, 2, 17, 120, 5000)]
    found = asked(server, "digit_sum", "explain", [own.tolist() for own in sets])
    assert found["usage"]["run_tokens"] == 2 * (1 + found["usage"]["tokens"]) == 10_282
    for own, output, changes in zip(sets, found["outputs"], found["changes"], strict=True):
        assert len(changes) == len(own)
        if 0 < len(own) <= 120:
            wanted = by_force(server, "digit_sum", own)
            assert np.abs(np.array(changes) - wanted).max() <= 2e-6 * max(1, output[0])
            np.testing.assert_allclose(np.array(changes)[:, 0], own, atol=0.05)


def test_pixels_of_a_digit_are_left_out_one_by_one(server: ServerProcess) -> None:
    """The shipped model of two layers: every set is run again without each of its pixels."""
    pixels = np.random.default_rng(0).uniform(0, 8, (20, 3)).round(2)
    found = asked(server, "digits", "explain", [pixels.tolist()])
    wanted = by_force(server, "digits", pixels)
    scale = np.abs(found["outputs"]).max()
    assert np.abs(np.array(found["changes"][0]) - wanted).max() <= 2e-6 * scale
    assert np.abs(np.sum(found["probability_changes"], axis=2)).max() <= 1e-6
    assert found["usage"]["run_tokens"] == 400


def test_what_cannot_be_explained_is_refused_and_harms_nothing(server: ServerProcess) -> None:
    url = f"{server.url}/v1/models/polynomial/explain"
    answer = httpx.post(url, json={"sequences": [[[0.1, 0.2, 0.3, 0.4]]]})
    assert answer.status_code == 400
    assert "all of its outputs are per token" in answer.json()["error"]
    long = httpx.post(
        f"{server.url}/v1/models/digits/explain", json={"sequences": [[[1, 2, 3]] * 600]}
    )
    assert long.status_code == 400
    assert "600 tokens" in long.json()["error"]
    assert asked(server, "digit_sum", "predict", [[1, 2]])["outputs"][0][0] > 2.9
