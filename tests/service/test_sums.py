from __future__ import annotations

import numpy as np
import onnx
import pytest

from service.graph import Options
from service.manifest import Merge, Summary, SummaryField
from service.pack import BLOCK, Array, Blocks, Slice
from service.summary import Fold
from service.sums import BlockSums, _Sum, every_block

LENGTHS = np.array([5, 0, 700, 16, 17, 0, 300, 1, 4000])


def slices() -> list[Slice]:
    return list(Blocks.of(LENGTHS).slices(1000))


def spec(merge: Merge = "add", dtype: str = "float32") -> Summary:
    made = SummaryField(shape=(3, 2), dtype=dtype)
    fields = {"top": SummaryField(shape=(3,)), "weighted": made} if merge == "softmax" else None
    return Summary(name="block.0", merge=merge, fields=fields or {"sum": made})


def drawn(part: Slice, dtype: str = "float32") -> Array:
    """(B, 3, 2), and nothing from the empty block."""
    values = np.random.default_rng(0).normal(size=(len(part.block), 3, 2)) * 100
    values[-1] = 0
    return values.astype(dtype)


def test_the_graph_is_onnx() -> None:
    model = onnx.load_from_string(_Sum().read("sum"))
    operators = [node.op_type for node in model.graph.node]
    assert operators == ["Cast", "Gather", "ReduceSum"]
    assert [i.name for i in model.graph.input] == ["blocks", "rows"]


def test_sums_of_blocks_fold_to_what_blocks_do() -> None:
    sums, own = BlockSums(Options()), spec()
    found, wanted = Fold(own, len(LENGTHS)), Fold(own, len(LENGTHS))
    for part in slices():
        fields = {"sum": drawn(part)}
        found.add(*sums(own, fields, part))
        wanted.add(*every_block(own, fields, part))
    np.testing.assert_allclose(found.state["sum"], wanted.state["sum"], rtol=1e-12, atol=1e-9)


def test_there_are_as_few_sums_as_16_blocks_each_allow() -> None:
    part = slices()[1]
    rows, owner = BlockSums(Options())(spec(), {"sum": drawn(part)}, part)
    blocks = np.bincount(part.block[:-1])
    assert len(owner) == len(rows["sum"]) == sum(-(-n // BLOCK) for n in blocks)
    assert rows["sum"].dtype == np.float64
    assert owner[0] == part.sequences.start


@pytest.mark.parametrize("merge", ["max", "softmax", "add"])
def test_what_is_no_sum_of_floats_comes_down_as_it_is(merge: Merge) -> None:
    part = slices()[0]
    own = spec(merge, "int64" if merge == "add" else "float32")
    fields = {name: drawn(part, f.dtype) for name, f in own.fields.items()}
    rows, owner = BlockSums(Options())(own, fields, part)
    wanted, owners = every_block(own, fields, part)
    np.testing.assert_array_equal(owner, owners)
    for name, values in wanted.items():
        np.testing.assert_array_equal(rows[name], values)
