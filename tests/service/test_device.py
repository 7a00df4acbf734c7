from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from service.device import Device, misplaced, placed
from service.errors import DeviceError


@dataclass(frozen=True)
class Node:
    name: str
    op_type: str


@dataclass(frozen=True)
class Assigned:
    ep_name: str
    nodes: Sequence[Node]

    def get_nodes(self) -> Sequence[Node]:
        return self.nodes


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("cpu", Device("cpu")),
        ("cuda", Device("cuda", 0)),
        ("cuda:0", Device("cuda", 0)),
        ("cuda:11", Device("cuda", 11)),
    ],
)
def test_devices_have_names(name: str, device: Device) -> None:
    assert Device.parse(name) == device


@pytest.mark.parametrize("name", ["", "tpu", "cpu:1", "cuda:", "cuda:-1", "cuda:x", "cuda:1\n"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(DeviceError, match="there are cpu, cuda and cuda:N"):
        Device.parse(name)


def test_a_gpu_is_chosen_by_its_number_and_nothing_is_left_to_defaults() -> None:
    assert Device.parse("cuda:1").provider_options() == {
        "device_id": "1",
        "use_tf32": "0",
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
    }


def test_memory_is_limited_where_that_is_asked_for() -> None:
    assert Device("cuda").provider_options(2**30)["gpu_mem_limit"] == str(2**30)
    assert Device("cpu").provider_options(2**30) == {}


def test_a_gpu_takes_larger_slices() -> None:
    assert Device("cpu").slice_tokens == 1024
    assert Device("cuda").slice_tokens > 16 * 1024


def test_nodes_elsewhere_are_named_but_for_those_that_compute_sizes() -> None:
    there = Assigned("CUDAExecutionProvider", [Node("map", "Gemm")])
    elsewhere = Assigned("CPUExecutionProvider", [Node("n", "Shape"), Node("norm", "TopK")])
    found = misplaced([there, elsewhere], "CUDAExecutionProvider")
    assert found == ["norm (TopK, CPUExecutionProvider)"]
    assert misplaced([there], "CUDAExecutionProvider") == []


def test_nodes_are_counted_by_where_they_run() -> None:
    node = Node("a", "MatMul")
    parts = [Assigned("CUDA", (node, node)), Assigned("CPU", (node,)), Assigned("CUDA", (node,))]
    assert placed(parts) == {"CUDA": 3, "CPU": 1}
    assert not placed([])
