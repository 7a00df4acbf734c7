"""What holds for every architecture: nothing here knows which layer is inside."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.architectures import Size, build
from models.heads import SequenceHead
from models.layers.layer import SummaryLayer
from models.model import Block, Model
from models.pack import Pack
from models.signature import IdsColumn, Signature
from models.summary import Merge, merge
from tests.models import small
from tests.models.layers.parts import cut

RAW = ("sumformer-polynomial", small.TABLE)  # their blocks read the bare vectors
LENGTHS = st.lists(st.integers(0, 120), min_size=1, max_size=6)


def lengths_for(name: str, drawn: list[int]) -> list[int]:
    return [min(n, small.longest(name)) for n in drawn]


@pytest.mark.parametrize("name", small.NAMES)
@given(drawn=LENGTHS)
@settings(max_examples=12, deadline=None)
def test_a_sequence_is_answered_alike_alone_and_in_any_pack(name: str, drawn: list[int]) -> None:
    model, lengths = small.model(name), lengths_for(name, drawn)
    packed = small.pack(lengths)
    with torch.no_grad():
        found = model(packed)
        for i, (begin, n) in enumerate(zip(packed.starts.tolist(), lengths, strict=True)):
            alone = model(small.of(packed.columns["x"][begin : begin + n], [n]))
            torch.testing.assert_close(alone["a"], found["a"][begin : begin + n])
            if "b" in found:
                torch.testing.assert_close(alone["b"], found["b"][i : i + 1])


@pytest.mark.parametrize("name", small.NAMES)
def test_a_token_never_influences_another_sequence(name: str) -> None:
    model, lengths = small.model(name), lengths_for(name, [3, 1, 40, 2])
    packed = small.pack(lengths)
    own = packed.owner == 2
    tokens = packed.columns["x"].clone().requires_grad_()
    found = model(small.of(tokens, lengths))
    if name != small.TABLE:  # a table is piecewise constant: its gradient is zero everywhere
        rows = [found["a"][own].square().sum(), found["b"][2].square().sum()]
        torch.autograd.backward(torch.stack(rows).sum())
        assert tokens.grad is not None
        touched = tokens.grad.abs().sum(1) > 0
        assert touched[own].all()
        assert not touched[~own].any()
    changed = packed.columns["x"].clone()
    changed[own] = torch.rand(lengths[2], 2).double()
    after = model(small.of(changed, lengths))
    assert_others_alike(after, found, own)
    assert not torch.allclose(after["a"][own], found["a"][own])


@pytest.mark.parametrize("name", small.NAMES)
def test_tokens_that_are_no_numbers_spoil_their_own_sequence_only(name: str) -> None:
    model, lengths = small.model(name), lengths_for(name, [3, 1, 40, 2, 40])
    packed = small.pack(lengths)
    own = packed.owner == 2
    spoilt = torch.where(own[:, None], torch.nan, packed.columns["x"])
    after = model(small.of(spoilt, lengths))
    assert_others_alike(after, model(packed), own)
    if name != small.TABLE:  # which puts them into some cell
        assert after["a"][own].isnan().all()


def assert_others_alike(found: dict[str, Tensor], wanted: dict[str, Tensor], own: Tensor) -> None:
    """The same rows for all tokens but these, and for all sequences but the third."""
    torch.testing.assert_close(found["a"][~own], wanted["a"][~own])
    if "b" in wanted:
        others = torch.arange(len(wanted["b"])) != 2
        torch.testing.assert_close(found["b"][others], wanted["b"][others])


@pytest.mark.parametrize("name", small.NAMES)
def test_permuting_tokens_permutes_their_rows_exactly_where_it_is_declared(name: str) -> None:
    model, n = small.model(name), small.longest(name)
    packed, order = small.pack([n]), torch.randperm(n, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = model(packed)
        permuted = model(small.of(packed.columns["x"][order], [n]))
    alike = torch.allclose(permuted["a"], found["a"][order], atol=1e-9)
    assert alike == model.equivariant


@pytest.mark.parametrize("name", [n for n in small.NAMES if n != small.TABLE])
def test_answers_per_sequence_do_not_depend_on_the_order_exactly_where_it_is_declared(
    name: str,
) -> None:
    model, lengths = small.model(name), [40, 30]
    packed, generator = small.pack(lengths), torch.Generator().manual_seed(1)
    pieces = packed.columns["x"].split(lengths)
    mixed = torch.cat([x[torch.randperm(len(x), generator=generator)] for x in pieces])
    with torch.no_grad():
        found, other = model(packed)["b"], model(small.of(mixed, lengths))["b"]
    assert torch.allclose(found, other, rtol=0, atol=1e-9) == model.equivariant


@pytest.mark.parametrize("name", [n for n in small.NAMES if n != small.TABLE])
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    model, lengths = small.model(name), [3, 0, 2]
    tokens = small.pack(lengths).columns["x"].requires_grad_()
    assert torch.autograd.gradcheck(lambda x: tuple(model(small.of(x, lengths)).values()), tokens)


@pytest.mark.parametrize("name", [n for n in small.NAMES if n not in RAW])
def test_positions_end_equivariance(name: str) -> None:
    assert not small.model(name, positional=True).equivariant


@pytest.mark.parametrize("name", RAW)
def test_constructions_on_raw_vectors_refuse_positions(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: reads vectors as they are"):
        small.model(name, positional=True)


@pytest.mark.parametrize("name", small.NAMES)
def test_an_empty_sequence_has_a_finite_answer_of_its_own(name: str) -> None:
    found = small.model(name)(small.pack(lengths_for(name, [0, 4, 0])))
    assert all(rows.isfinite().all() for rows in found.values())
    if "b" in found:
        torch.testing.assert_close(found["b"][0], found["b"][2])


@pytest.mark.parametrize("name", small.NAMES)
@given(drawn=LENGTHS, widths=st.tuples(*[st.integers(1, 4)] * 3), blocks=st.integers(0, 2))
@settings(max_examples=8, deadline=None)
def test_every_token_and_every_sequence_has_a_row_of_the_width_asked_for(
    name: str, drawn: list[int], widths: tuple[int, int, int], blocks: int
) -> None:
    plain, lengths = small.signature(name).model_dump(), lengths_for(name, drawn)
    tokens = torch.rand(sum(lengths), widths[0], dtype=torch.float64)
    plain["columns"][0]["width"] = widths[0]
    wanted = {}
    for output, width in zip(plain["outputs"], widths[1:], strict=False):
        output["width"] = width
        wanted[output["name"]] = (len(tokens) if output["per"] == "token" else len(lengths), width)
    size = Size(width=8, blocks=blocks, heads=2, features=3, points=3, cells=2)
    model = Model(build(name, Signature.model_validate(plain), size)).double()
    found = model(small.of(tokens, lengths))
    assert {output: tuple(rows.shape) for output, rows in found.items()} == wanted


@pytest.mark.parametrize("name", small.NAMES)
def test_a_pack_of_nothing_has_no_rows(name: str) -> None:
    found = small.model(name)(small.pack([]))
    assert all(len(rows) == 0 for rows in found.values())


def summing(name: str) -> list[tuple[Merge, Block | SequenceHead]]:
    """Everything in a model that takes a summary, with how its summaries merge."""
    model = small.model(name)
    blocks = [b for b in model.blocks if isinstance(b, Block)]
    found: list[tuple[Merge, Block | SequenceHead]] = [
        (b.mixing.merge, b) for b in blocks if isinstance(b.mixing, SummaryLayer)
    ]
    heads = [h for h in model.heads if isinstance(h, SequenceHead)]
    return [*found, *((h.pool.merge, h) for h in heads)]


@pytest.mark.parametrize("name", small.NAMES)
@given(drawn=LENGTHS, place=st.integers(0, 120))
@settings(max_examples=8, deadline=None)
def test_summaries_of_parts_merge_into_the_summary_of_the_whole(
    name: str, drawn: list[int], place: int
) -> None:
    lengths = lengths_for(name, drawn)
    parts = summing(name)
    assert parts
    for how, part in parts:
        width = 2 if name in RAW and isinstance(part, Block) else 16
        hidden = torch.rand(sum(lengths), width, dtype=torch.float64)
        whole = part.contribution(hidden, small.of(hidden, lengths))
        first, rest = cut(hidden, lengths, [place])
        merged = merge(how, part.contribution(*first), part.contribution(*rest))
        for field, rows in whole.items():
            torch.testing.assert_close(merged[field], rows)


@pytest.mark.parametrize("name", small.NAMES)
def test_too_long_a_sequence_is_named_with_the_limit(name: str) -> None:
    longest = small.longest(name)
    with pytest.raises(ValueError, match=f"sequence 1 has {longest + 1} tokens.* 0 to {longest}"):
        small.model(name)(small.pack([1, longest + 1]))


@pytest.mark.parametrize("name", small.NAMES)
def test_every_weight_takes_part(name: str) -> None:
    model = small.model(name)
    found = model(small.pack(lengths_for(name, [7, 120, 3])))
    torch.autograd.backward(torch.stack([rows.square().sum() for rows in found.values()]).sum())
    idle = [k for k, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


@pytest.mark.parametrize("name", small.NAMES)
def test_mixed_precision_gives_about_the_same_answer_and_finite_gradients(name: str) -> None:
    model, packed = small.model(name).float(), small.pack(lengths_for(name, [7, 0, 120, 1]))
    packed = Pack({"x": packed.columns["x"].float()}, packed.lengths)
    exact = model(packed)["a"]
    with torch.autocast("cpu", torch.bfloat16):
        found = model(packed)["a"].float()
    torch.autograd.backward(found.square().sum())
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    assert (found - exact).norm() < 0.05 * exact.norm()


def test_fields_of_the_mixing_layer_can_be_set() -> None:
    size = Size(width=16, layer={"sharing": "layerwise", "projection_dim": 5})
    own = build("linformer", small.signature("linformer"), size)
    assert [block.mixing.model_dump()["sharing"] for block in own.blocks] == ["layerwise"] * 2
    with pytest.raises(ValueError, match="sharing"):
        build("performer", small.signature("performer"), size)


def test_an_unknown_architecture_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown architecture 'rnn'; known: sumformer, "):
        build("rnn", small.signature("sumformer"), Size())


@pytest.mark.parametrize("name", RAW)
def test_constructions_on_raw_vectors_refuse_ids(name: str) -> None:
    shape = small.signature(name).model_copy(update={"columns": (IdsColumn(high=3),)})
    with pytest.raises(ValueError, match=f"{name}: needs exactly one vector column"):
        build(name, Signature.model_validate(shape.model_dump()), Size())


@pytest.mark.parametrize("name", [n for n in small.NAMES if n != small.TABLE])
def test_sequences_of_equal_length_are_answered_as_among_others(name: str) -> None:
    """Packs of equal lengths take shorter ways inside."""
    model, n = small.model(name), 40
    equal = small.pack([n, n, n])
    tokens = torch.cat([equal.columns["x"], torch.rand(7, 2, dtype=torch.float64)])
    with torch.no_grad():
        found, mixed = model(equal), model(small.of(tokens, [n, n, n, 7]))
    torch.testing.assert_close(found["a"], mixed["a"][: 3 * n])
    torch.testing.assert_close(found["b"], mixed["b"][:3])
