"""Small ONNX models that take padded batches, as other programs write them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper, parser

Array = NDArray[Any]
RNG = np.random.default_rng(5)
WEIGHT = RNG.normal(size=(4, 3)).astype(np.float32)
TABLE = RNG.normal(size=(100, 4)).astype(np.float32)
HEAD = '<ir_version: 8, opset_import: ["": 18, "com.microsoft": 1]>'

MEAN = """
    m = Cast<to = 1>(mask)
    m3 = Unsqueeze(m, last)
    kept = Mul(x, m3)
    sum = ReduceSum<keepdims = 0>(kept, one)
    count = ReduceSum<keepdims = 1>(m, one)
    some = Max(count, unit)
    mean = Div(sum, some)
    logits = MatMul(mean, weight)
"""
IGNORED = """
    m = Cast<to = 1>(mask)
    m3 = Unsqueeze(m, last)
    nothing = Mul(m3, zero)
    same = Add(x, nothing)
    mean = ReduceMean<keepdims = 0>(same, one)
    logits = MatMul(mean, weight)
"""
RELATED = """
    shape = Shape(ids)
    length = Gather(shape, index)
    places = Range(index0, length, index)
    wide = Unsqueeze(n, one)
    long = Cast<to = 7>(wide)
    there = Less(places, long)
    m = Cast<to = 1>(there)
    m3 = Unsqueeze(m, last)
    x = Gather(table, ids)
    kept = Mul(x, m3)
    sum = ReduceSum<keepdims = 1>(kept, one)
    tokens = Add(x, sum)
"""
CONSTANTS = {
    "one": np.array([1]),
    "last": np.array([-1]),
    "index0": np.array(0),
    "index": np.array(1),
    "unit": np.array(1, np.float32),
    "zero": np.array(0, np.float32),
    "weight": WEIGHT,
    "table": TABLE,
}


def model(inputs: str, outputs: str, body: str) -> Any:
    """A model of a text of nodes, with those of the constants that it reads."""
    made = parser.parse_model(f"{HEAD} g ({inputs}) => ({outputs}) {{ {body} }}")
    read = {name for node in made.graph.node for name in node.input}
    for name, values in CONSTANTS.items():
        if name in read:
            made.graph.initializer.append(numpy_helper.from_array(values, name))
    return made


def masked_mean(dims: str = "batch, length", mask: str = "bool", body: str = MEAN) -> Any:
    """x (b, n, 4) and its mask -> logits (b, 3) of the mean of those tokens that are there."""
    inputs = f"float[{dims}, 4] x, {mask}[{dims}] mask"
    return model(inputs, f"float[{dims.split(',')[0]}, 3] logits", body)


def inverted() -> Any:
    """As masked_mean, with a mask that is true where there is no token."""
    body = "mask = Not(pad_mask)" + MEAN
    inputs = "float[batch, length, 4] x, bool[batch, length] pad_mask"
    return model(inputs, "float[batch, 3] logits", body)


def ignores_its_mask(dims: str = "batch, length") -> Any:
    """The mean over all places, padding too."""
    return masked_mean(dims, body=IGNORED)


def turned(order: str) -> Any:
    """As masked_mean and the rows of logits per token, with axes of x and of those in an order."""
    dims = ", ".join({"b": "batch", "n": "length", "w": "4"}[axis] for axis in order)
    into = [order.index(axis) for axis in "bnw"]
    out = ["bnw".index(axis) for axis in order]
    body = f"x = Transpose<perm = {into}>(turned)" + MEAN + "rows = MatMul(x, weight)"
    body += f"scores = Transpose<perm = {out}>(rows)"
    inputs = f"float[{dims}] turned, bool[batch, length] mask"
    rows = dims.replace("4", "3")
    return model(inputs, f"float[batch, 3] logits, float[{rows}] scores", body)


def related(kind: str = "int64", count: str = "int64") -> Any:
    """ids (b, n) and lengths n (b,) -> per token, its row of the table plus all of its sequence."""
    inputs = f"{kind}[batch, length] ids, {count}[batch] n"
    return model(inputs, "float[batch, length, 4] tokens", RELATED)


def two_outputs() -> Any:
    """x, mask and one vector (b, 3) per sequence -> scores (b, n, 3) and logits (b, 3)."""
    body = (
        MEAN.replace("logits", "pooled") + "scores = MatMul(x, weight) logits = Add(pooled, bias)"
    )
    inputs = "float[batch, length, 4] x, bool[batch, length] mask, float[batch, 3] bias"
    return model(inputs, "float[batch, length, 3] scores, float[batch, 3] logits", body)


def padded_with_nines() -> Any:
    """amounts (b, n), 9 where there is none -> their sum (b,)."""
    body = """
        none = Equal(amounts, nine)
        kept = Where(none, zero, amounts)
        total = ReduceSum<keepdims = 0>(kept, one)
    """
    body = "nine = Constant<value_float = 9.0>()" + body
    return model("float[batch, length] amounts", "float[batch] total", body)


def mixes_its_batch() -> Any:
    """Adds the mean of the batch."""
    body = MEAN.replace("logits", "raw")
    body += "index_b = Constant<value_ints = [0]>() all = ReduceMean(raw, index_b)"
    body += " logits = Add(raw, all)"
    return masked_mean(body=body)


def mixes_behind_an_offset() -> Any:
    """Adds the mean of the batch, and a number beside which it looks small."""
    body = MEAN.replace("logits", "raw")
    body += "index_b = Constant<value_ints = [0]>() all = ReduceMean(raw, index_b)"
    body += " far = Constant<value_float = 100000.0>() mixed = Add(raw, all)"
    body += " logits = Add(mixed, far)"
    return masked_mean(body=body)


def means(sequences: list[Array]) -> Array:
    """What masked_mean answers."""
    some = [s.sum(0, np.float64) / max(1, len(s)) for s in sequences]
    return np.stack(some) @ WEIGHT
