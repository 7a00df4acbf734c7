from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from export.operators import TRANSLATIONS
from service.graph import session_options
from service.pack import Array
from service.runtime import onnxruntime


class Applied(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def opened(function: Callable[[Tensor], Tensor], example: Tensor) -> Any:
    program = torch.onnx.export(
        Applied(function).eval(),
        (example,),
        dynamo=True,
        opset_version=20,
        dynamic_shapes=({0: Dim("rows")},),
        custom_translation_table=TRANSLATIONS,
        external_data=False,
        verbose=False,
    )
    assert program is not None
    graph = program.model_proto.SerializeToString()
    return onnxruntime().InferenceSession(graph, session_options())


def run(session: Any, x: Array) -> Array:
    found: Array = session.run(None, {session.get_inputs()[0].name: x})[0]
    return found


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sin": torch.sin,
    "cos": torch.cos,
    "log": lambda x: (x.abs() + 1e-3).log(),
    "log1p": lambda x: x.abs().log1p(),
    "sum": lambda x: x.sum(-1),
    "sum, kept": lambda x: x.square().sum(dim=1, keepdim=True),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_translation_is_the_function_and_no_bit_depends_on_other_rows(name: str) -> None:
    function = FUNCTIONS[name]
    session = opened(function, torch.randn(5, 33))
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(300, 33)) * 10.0 ** rng.uniform(-4, 2, (300, 1))).astype(np.float32)
    whole = run(session, x)
    wanted = function(torch.from_numpy(x).double()).numpy()
    np.testing.assert_allclose(whole, wanted, rtol=1e-6, atol=3e-7 * max(1, np.abs(wanted).max()))
    for begin, size in ((0, 1), (7, 3), (13, 23), (100, 64), (37, 200)):
        part = run(session, x[begin : begin + size].copy())
        np.testing.assert_array_equal(part, whole[begin : begin + size])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("function", [torch.sin, torch.cos])
def test_angles_of_many_turns_keep_their_digits(function: Callable[[Tensor], Tensor]) -> None:
    session = opened(lambda x: function(x), torch.randn(5, 2, dtype=torch.float64))
    x = np.random.default_rng(0).uniform(-1e7, 1e7, (100, 2))
    np.testing.assert_allclose(run(session, x), function(torch.from_numpy(x)).numpy(), atol=5e-9)
