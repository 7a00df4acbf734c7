from __future__ import annotations

from typing import Any

import pytest

from export.wrap_file import Tensor, WrapError
from export.wrap_inputs import Inputs, Said, read_inputs
from service.manifest import IdsColumn, NumericColumn, VectorColumn

X = Tensor("x", "float32", ("batch", "seq", 8))


def read(*tensors: Tensor, **said: Any) -> Inputs:
    return read_inputs(tensors, Said(**said))


@pytest.mark.parametrize(
    ("dims", "axes"),
    [
        (("batch", "seq", 8), "bnw"),
        (("seq_len", "batch_size", 8), "nbw"),
        (("batch", 8, "time"), "bwn"),
        (("s0", "s1", 8), "bnw"),
        (("", "", 8), "bnw"),
        (("s0", "batch", 8), "nbw"),
        (("batch", "s0"), "bn"),
        (("tokens", "s0"), "nb"),
    ],
)
def test_axes_are_told_by_the_names_of_sizes(dims: tuple[int | str, ...], axes: str) -> None:
    assert read(Tensor("x", "float32", dims)).inputs[0].axes == axes


@pytest.mark.parametrize(
    ("tensor", "reads", "axes"),
    [
        (Tensor("attention_mask", "int64", ("batch", "seq")), "mask", "bn"),
        (Tensor("my_mask", "float32", ("seq", "batch")), "mask", "nb"),
        (Tensor("n", "int32", ("batch",)), "lengths", "b"),
        (Tensor("place", "float32", ("batch", 2)), "context", "bw"),
        (Tensor("age", "float32", ("batch",)), "context", "b"),
    ],
)
def test_what_an_input_reads_is_told_by_type_and_shape(
    tensor: Tensor, reads: str, axes: str
) -> None:
    own = read(X, tensor).inputs[1]
    assert (own.reads, own.axes, own.dtype) == (reads, axes, tensor.dtype)


def test_what_was_said_goes_before_what_is_likely() -> None:
    mask, count = Tensor("m", "bool", ("batch", 1, "seq")), Tensor("n", "float32", ("batch", 1))
    found = read(X, mask, count, masks=("m",), lengths=("n",)).inputs
    assert [(own.reads, own.axes) for own in found[1:]] == [("mask", "bwn"), ("lengths", "bw")]


def test_what_is_said_of_one_input_tells_the_axes_of_another() -> None:
    other = Tensor("y", "float32", ("s0", "s1", 3))
    first = Tensor("x", "float32", ("s0", "s1", 8))
    assert [own.axes for own in read(first, other, axes={"y": "nbw"}).inputs] == ["nbw", "nbw"]


def test_a_fixed_length_of_a_mask_tells_that_of_a_column() -> None:
    mask = Tensor("mask", "bool", ("batch", 24))
    found = read(Tensor("x", "float32", ("batch", 24, 8)), mask)
    assert (found.inputs[0].axes, found.fixed) == ("bnw", {"n": 24})


def test_columns_and_context_are_what_the_types_say() -> None:
    ids, amount = Tensor("ids", "int32", ("batch", "seq")), Tensor("a", "float64", ("batch", "seq"))
    kind = Tensor("kind", "int64", ("batch",))
    found = read(X, ids, amount, kind, low_high={"ids": (1, 9), "kind": (0, 3)})
    assert found.columns == (
        VectorColumn(name="x", width=8),
        IdsColumn(name="ids", low=1, high=9),
        NumericColumn(name="a"),
    )
    assert found.context == (IdsColumn(name="kind", low=0, high=3),)


@pytest.mark.parametrize(
    ("tensors", "said", "message"),
    [
        ([Tensor("x", "float32", ("batch", 8))], {}, r"--axes x=ORDER \(bn or bw\)"),
        ([Tensor("x", "float32", (2, 3, 4))], {}, "--axes x=ORDER"),
        ([Tensor("x", "float32", ("b", "n", "w"))], {}, "cannot tell the axes of input 'x'"),
        ([Tensor("x", "float32", ("b", "n", "w"))], {"axes": {"x": "bnw"}}, "leaves the width"),
        ([Tensor("x", "int64", ("b", "n", 2))], {"axes": {"x": "bnw"}}, "must be 1"),
        ([Tensor("n", "int64", ("b",))], {}, "no input is read per token"),
        ([X, Tensor("x2", "float32", X.dims)], {"rename": {"x2": "x"}}, "two columns are called"),
        ([X, Tensor("n", "int64", ("b",))], {"axes": {"n": "n"}}, "no axis is the batch"),
        ([X, Tensor("m", "bool", ("b", 3))], {"masks": ["m"], "axes": {"m": "bw"}}, "per token"),
        (
            [Tensor("x", "float32", ("b", 9, 8)), Tensor("mask", "bool", ("b", 7))],
            {"axes": {"x": "bnw", "mask": "bn"}},
            "axis n has another size",
        ),
        (
            [Tensor("flag", "bool", ("b", "n"))],
            {"low_high": {"flag": (0, 2)}},
            "not a range of bool",
        ),
    ],
)
def test_what_cannot_be_told_is_asked_for(
    tensors: list[Tensor], said: dict[str, Any], message: str
) -> None:
    with pytest.raises(WrapError, match=message) as error:
        read(*tensors, **said)
    assert "\n" not in str(error.value)
