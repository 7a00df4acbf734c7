"""Triton's Python backend: requests of one batch come as a list, each with its own tensor."""
# mypy: ignore-errors

from __future__ import annotations

import triton_python_backend_utils as backend

from benchmarks.handlers.model import Item, Model
from benchmarks.handlers.setting import Place


class TritonPythonModel:
    """One instance, a process."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the model."""
        self.model = Model(Place.here())

    def execute(self, requests: list) -> list:
        """A batch; with batching on, tensors have a first dimension of one."""
        found = [backend.get_input_tensor_by_name(r, "x").as_numpy() for r in requests]
        answers = self.model.answer([Item(x.reshape(-1, x.shape[-1]), False) for x in found])
        shaped = [y.rows.reshape(x.shape) for x, y in zip(found, answers, strict=True)]
        return [backend.InferenceResponse([backend.Tensor("y", y)]) for y in shaped]
