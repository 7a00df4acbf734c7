"""The reference model in torch on packs, as a CUDA graph: what our sessions are held to."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import gelu, linear

from service.pack import Array

WARM_UPS = 3  # before a capture, as torch asks for


class Weights:
    """The linear maps of the reference model on a device: wide ones in a type, sums in float32."""

    def __init__(self, arrays: Mapping[str, Array], device: str, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._arrays = {
            name: torch.from_numpy(values).to(device, self._of(name))
            for name, values in arrays.items()
        }

    def _of(self, name: str) -> torch.dtype:
        return torch.float32 if name.startswith(("last", "summary")) else self._dtype

    def _layer(self, name: str, rows: Tensor) -> Tensor:
        return linear(rows, self._arrays[f"{name}.weight"], self._arrays.get(f"{name}.bias"))

    def forward(self, x: Tensor, owner: Tensor, count: Tensor) -> Tensor:
        """x (T, 8), owner (T,) of sequences, count (N, 1) tokens of each -> (T, 8)."""
        x = x.to(self._dtype)
        hidden = gelu(self._layer("phi.1", gelu(self._layer("phi.0", x))))
        total = torch.zeros(len(count), hidden.shape[1], device=x.device)
        total.index_add_(0, owner, hidden.float())
        finished = linear(total, self._arrays["last.0.weight"])
        finished = finished + count * self._arrays["last.0.bias"]
        shared = self._layer("summary.0", finished).to(self._dtype)
        rows = gelu(shared.index_select(0, owner) + self._layer("token.0", x))
        return self._layer("tail.1", gelu(self._layer("tail.0", rows))).float()


class Captured:
    """Packs of up to T tokens and N - 1 sequences; the last one takes the places left over."""

    def __init__(self, weights: Weights, tokens: int, sequences: int, width: int = 8) -> None:
        self._host = (
            torch.zeros(tokens, width).pin_memory(),
            torch.zeros(tokens, dtype=torch.int32).pin_memory(),
            torch.zeros(sequences + 1, 1).pin_memory(),
        )
        self._there = tuple(part.cuda() for part in self._host)
        self._answer = torch.zeros(tokens, width).pin_memory()
        with torch.inference_mode():
            side = torch.cuda.Stream()
            with torch.cuda.stream(side):
                for _ in range(WARM_UPS):
                    weights.forward(*self._there)
            side.synchronize()
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._found = weights.forward(*self._there)

    def run(self, x: Array, lengths: Array) -> Array:
        """x (t, 8) of sequences of these lengths -> (t, 8)."""
        tokens, sequences = len(x), len(lengths)
        rows, owner, count = (part.numpy() for part in self._host)
        rows[:tokens], owner[:tokens] = x, np.repeat(np.arange(sequences), lengths)
        owner[tokens:], count[:sequences, 0] = len(count) - 1, lengths
        for there, host in zip(self._there, self._host, strict=True):
            there.copy_(host, non_blocking=True)
        self._graph.replay()
        self._answer[:tokens].copy_(self._found[:tokens], non_blocking=True)
        torch.cuda.synchronize()
        return self._answer[:tokens].numpy().copy()
