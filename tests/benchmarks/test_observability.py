"""The arithmetic of what observability costs, and the server without any."""

from __future__ import annotations

import httpx

from benchmarks.observability import OFF, USUAL, Unobserved, page, summary
from tests.conftest import SHIPPED


def rounds(*rates: float) -> list[dict[str, float]]:
    return [{"requests_per_second": r, "cpu_ms_per_request": 100 / r, "p99_ms": 9} for r in rates]


def test_a_ratio_is_of_what_ran_in_the_same_round() -> None:
    found = summary({OFF: rounds(100, 200, 400), USUAL: rounds(90, 190, 400)})
    assert found[USUAL]["of_off"] == {"median": 0.95, "least": 0.9, "most": 1.0}
    assert found[USUAL]["cpu_of_off"]["median"] == 1.053
    assert found[OFF]["of_off"]["median"] == 1


def test_the_page_says_whether_what_was_wanted_was_met() -> None:
    machine = {"date": "d", "commit": "c", "cpu": "p", "cpus": 2}
    about = {"machine": machine, "load_before": 0, "rounds": 1, "seconds": 1}
    cells = {
        "32 tokens, JSON": summary({OFF: rounds(100), USUAL: rounds(96)}),
        "lognormal, binary": summary({OFF: rounds(100), USUAL: rounds(94)}),
    }
    text = page({**about, **cells})
    assert "Measured: 0.960. **Met.**" in text
    assert "Measured: 0.940. **Missed.**" in text


def test_the_server_without_metrics_answers_and_has_counted_nothing() -> None:
    with Unobserved(SHIPPED, grace_seconds=0) as server:
        url = f"{server.url}/v1/models/digit_sum/predict"
        assert httpx.post(url, json={"sequences": [[1, 2]]}).status_code == 200
        text = httpx.get(f"{server.url}/metrics").text
    assert "sumserve_ready 1.0" in text
    assert "sumserve_requests_total{" not in text
    assert "sumserve_request_seconds_count{" not in text
