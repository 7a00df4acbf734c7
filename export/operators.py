"""Operators whose kernels round by a value's place in a tensor, made of ones that do not.

onnxruntime's CPU Log, Sin and Cos compute whole vectors one way and the tail of a tensor another;
ReduceSum over the last axis goes by how rows lie in memory. So a token's neighbours and the number
of threads would change its last bit. Free of it, measured, are products with constant matrices,
batched ones, what goes element by element, maxima, softmax and sums over the blocks' axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnxscript import opset20 as op

DOUBLE = onnx.TensorProto.DOUBLE
# sin(x) / x in powers of x^2; for |x| <= pi / 2 what is left out is below 7e-10
_SERIES = [(-1) ** i / math.factorial(2 * i + 1) for i in range(7)]


def _sin(x: Any) -> Any:
    return op.CastLike(_sin_of_turns(_turns(x)), x)


def _cos(x: Any) -> Any:
    return op.CastLike(_sin_of_turns(op.Add(_turns(x), _double(0.25))), x)


def _turns(x: Any) -> Any:
    return op.Mul(op.Cast(x, to=DOUBLE), _double(0.5 / math.pi))


def _sin_of_turns(turns: Any) -> Any:
    """sin(2 pi t): t is brought into [-1/4, 1/4], where the series is good."""
    turn, quarter = op.Sub(turns, op.Round(turns)), _double(0.25)
    folded = op.Sub(quarter, op.Abs(op.Sub(quarter, op.Abs(turn))))
    angle = op.Mul(op.Mul(folded, _double(2 * math.pi)), op.Sign(turn))
    square, total = op.Mul(angle, angle), _double(_SERIES[-1])
    for term in reversed(_SERIES[:-1]):
        total = op.Add(op.Mul(square, total), _double(term))
    return op.Mul(angle, total)


def _log(x: Any) -> Any:
    return op.CastLike(_log_of_double(op.Cast(x, to=DOUBLE)), x)


def _log1p(x: Any) -> Any:
    return op.CastLike(_log_of_double(op.Add(op.Cast(x, to=DOUBLE), _double(1.0))), x)


def _log_of_double(x: Any) -> Any:
    """One scalar logarithm per row, of rows of one number."""
    return op.ReduceLogSum(op.Unsqueeze(x, _axes([-1])), _axes([-1]), keepdims=0)


def _sum(x: Any, dim: Sequence[int], keepdim: bool = False, dtype: int | None = None) -> Any:
    """Over the last axis: a product with ones."""
    last, size = len(x.shape) - 1, x.shape[-1]
    if list(dim) in ([-1], [last]) and isinstance(size, int) and dtype is None:
        ones: Any = op.Constant(value=onnx.numpy_helper.from_array(np.ones((size, 1), np.float32)))
        total: Any = op.MatMul(x, op.CastLike(ones, x))
        return total if keepdim else op.Squeeze(total, _axes([-1]))
    total = op.ReduceSum(x, _axes(dim), keepdims=int(keepdim))
    return total if dtype is None else op.Cast(total, to=dtype)


def _axes(dim: Sequence[int]) -> Any:
    return op.Constant(value_ints=list(dim))


def _remainder(x: Any, y: Any) -> Any:
    """Of whole numbers; the exporter's own takes no size that is still open."""
    return op.Mod(x, op.CastLike(y, x))


def _double(value: float) -> Any:
    return op.Constant(value=onnx.helper.make_tensor("", DOUBLE, [], [value]))


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.aten.sin.default: _sin,
    torch.ops.aten.cos.default: _cos,
    torch.ops.aten.log.default: _log,
    torch.ops.aten.log1p.default: _log1p,
    torch.ops.aten.sum.dim_IntList: _sum,
    torch.ops.aten.remainder.Scalar: _remainder,
}
