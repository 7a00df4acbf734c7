"""Every wire of ours and of the peers that need no installation, small and without patience."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks import wires
from benchmarks.peers.client import Reply
from benchmarks.peers.contenders import ORJSON, OURS, PYDANTIC, check, connect
from benchmarks.peers.messages import Message
from benchmarks.peers.stall import longest
from benchmarks.peers.summary import machine
from benchmarks.peers.tables import WIRES, page
from benchmarks.reference import checkpoint
from export.bundle import export
from export.cases import QUICK
from service.pack import Array

PEERS = (PYDANTIC, ORJSON)


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    root: Path = tmp_path_factory.mktemp("reference")
    export(checkpoint("reference"), root, "1", effort=QUICK)
    with wires.servers(root) as found:
        yield found


def test_every_wire_is_measured_and_its_row_written(ports: dict[str, int]) -> None:
    sizes = {str(n): wires.measure(ports, n, rounds=2, requests=2) for n in (1, 32)}
    result = {"machine": machine(), "load_before": 0.0, "triton": "not measured", "tokens": sizes}
    found = sizes["32"]["contenders"]
    assert all(own["besides_model_ms"]["median"] > 0 for own in found.values())
    assert all(found[f"{OURS}, {wire}"]["model_ms"] > 0 for wire in WIRES)
    assert all(found[peer]["model_ms"] == 0 for peer in PEERS)
    assert all(f"| {name} |" in page(result) for name in found)


def slightly_off(message: Message, reply: Reply) -> Array:
    return np.nextafter(message.decode(reply), np.float32(9))


def test_a_wrong_answer_is_noticed(ports: dict[str, int]) -> None:
    x = wires.draw(5)
    with ExitStack() as stack:
        contenders = connect(ports, x, stack)
        for name in (f"{OURS}, /v1 Arrow", ORJSON):
            right = contenders[name].message
            wrong = replace(right, decode=partial(slightly_off, right))
            others = contenders | {name: replace(contenders[name], message=wrong)}
            with pytest.raises(AssertionError, match="answer differently"):
                check(others, x)


def test_the_wait_of_others_is_found(ports: dict[str, int]) -> None:
    assert all(0 < longest(port, None, seconds=0.05) < 5 for port in ports.values())
