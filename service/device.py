"""Devices by name, what onnxruntime is told of each, and which nodes it has put elsewhere.

Knows onnxruntime's words and never imports it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from service.errors import DeviceError
from service.pack import SLICE_TOKENS

NAMES = r"^(cpu|cuda(:[0-9]{1,3})?)$"
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
GPU_SLICE_TOKENS = 65_536  # a call of a few kernels has to be worth launching them
CUDA_OPTIONS = {
    "use_tf32": "0",  # on by default; loses 13 bits
    "arena_extend_strategy": "kSameAsRequested",  # the other one doubles, for shapes that vary
    "cudnn_conv_algo_search": "HEURISTIC",  # the default tries out all, for every new shape
}
# What sizes, and indices made of them, are computed with: onnxruntime does that on the CPU whatever
# the device. All of these have kernels on a GPU, so it puts nothing else of them elsewhere.
OF_SIZES = {"Shape", "Size", "Constant", "Range", "Squeeze", "Unsqueeze", "Reshape", "Concat"}
OF_SIZES |= {"Slice", "Gather", "Where", "Add", "Sub", "Mul", "Div", "Min", "Max", "Clip"}


@dataclass(frozen=True, slots=True)
class Device:
    """``cpu``, or ``cuda`` and the number of the GPU."""

    kind: str
    number: int = 0

    @classmethod
    def parse(cls, name: str) -> Device:
        """Of ``cpu``, ``cuda`` (the first GPU) or ``cuda:1``; DeviceError of anything else."""
        if not re.fullmatch(NAMES, name):
            raise DeviceError(f"device {name!r}: there are cpu, cuda and cuda:N")
        kind, _, number = name.partition(":")
        return cls(kind, int(number or 0))

    def __str__(self) -> str:
        return f"{self.kind}:{self.number}" if self.is_gpu else self.kind

    @property
    def is_gpu(self) -> bool:
        """Whether it has memory of its own."""
        return self.kind != "cpu"

    @property
    def provider(self) -> str:
        """The execution provider that all nodes must run on."""
        return PROVIDERS[self.kind]

    @property
    def slice_tokens(self) -> int:
        """How many tokens suit one call of a graph."""
        return GPU_SLICE_TOKENS if self.is_gpu else SLICE_TOKENS

    def provider_options(self, memory_bytes: int = 0) -> dict[str, str]:
        """The provider's options; ``memory_bytes`` bounds its arena (0: no bound)."""
        if not self.is_gpu:
            return {}
        limit = {"gpu_mem_limit": str(memory_bytes)} if memory_bytes else {}
        return {"device_id": str(self.number)} | CUDA_OPTIONS | limit


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a session runs, in which precision, and on a GPU how many nodes by provider."""

    device: str
    variant: str
    provider: str
    nodes: Mapping[str, int]


def placed(assigned: Iterable[Any]) -> Counter[str]:
    """How many nodes each provider has, by what onnxruntime says of a session."""
    found: Counter[str] = Counter()
    for part in assigned:
        found[part.ep_name] += len(part.get_nodes())
    return found


def misplaced(assigned: Iterable[Any], provider: str) -> list[str]:
    """Nodes that compute elsewhere than on a provider, each as ``name (operator, provider)``.

    assigned: what onnxruntime says of a session, a provider and its nodes at a time.
    """
    return [
        f"{node.name} ({node.op_type}, {part.ep_name})"
        for part in assigned
        if part.ep_name != provider
        for node in part.get_nodes()
        if node.op_type not in OF_SIZES
    ]
