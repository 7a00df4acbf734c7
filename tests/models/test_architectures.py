"""What holds for every architecture: nothing here knows which layer is inside."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.architectures import Size, build
from models.heads import SequenceHead
from models.layers.layer import SummaryLayer
from models.model import Block
from models.pack import Pack
from models.signature import IdsColumn, Signature
from models.summary import Merge, merge
from tests.models import small

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
    start = int(packed.starts[2])
    tokens = packed.columns["x"].clone().requires_grad_()
    found = model(small.of(tokens, lengths))["a"]
    if name != small.TABLE:  # a table is piecewise constant: its gradient is zero everywhere
        torch.autograd.backward(found[start : start + lengths[2]].square().sum())
        assert tokens.grad is not None
        touched = tokens.grad.abs().sum(1) > 0
        assert touched[start : start + lengths[2]].any()
        assert not touched[:start].any()
        assert not touched[start + lengths[2] :].any()
    changed = packed.columns["x"].clone()
    changed[start : start + lengths[2]] = torch.rand(lengths[2], 2).double()
    after = model(small.of(changed, lengths))["a"]
    torch.testing.assert_close(after[:start], found[:start])


@pytest.mark.parametrize("name", small.NAMES)
def test_permuting_tokens_permutes_their_rows_exactly_where_it_is_declared(name: str) -> None:
    model, n = small.model(name), small.longest(name)
    packed, order = small.pack([n]), torch.randperm(n, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = model(packed)
        permuted = model(small.of(packed.columns["x"][order], [n]))
    alike = torch.allclose(permuted["a"], found["a"][order], atol=1e-9)
    assert alike == model.equivariant


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
@given(drawn=LENGTHS, cut=st.integers(0, 120))
@settings(max_examples=8, deadline=None)
def test_summaries_of_parts_merge_into_the_summary_of_the_whole(
    name: str, drawn: list[int], cut: int
) -> None:
    lengths = lengths_for(name, drawn)
    heads = [min(cut, n) for n in lengths]
    parts = summing(name)
    assert parts
    for how, part in parts:
        width = 2 if name in RAW and isinstance(part, Block) else 16
        hidden = torch.rand(sum(lengths), width, dtype=torch.float64)
        whole = part.contribution(hidden, small.of(hidden, lengths))
        first, rest = _halves(hidden, lengths, heads)
        merged = merge(how, part.contribution(*first), part.contribution(*rest))
        for field, rows in whole.items():
            torch.testing.assert_close(merged[field], rows)


class _Later(Pack):
    """The second part of sequences: positions go on where the first part ended."""

    before: torch.Tensor

    @property
    def position(self) -> torch.Tensor:
        own = torch.arange(self.tokens) - self.starts[self.owner]
        return own + self.before[self.owner]


def _halves(
    hidden: torch.Tensor, lengths: list[int], heads: list[int]
) -> tuple[tuple[torch.Tensor, Pack], tuple[torch.Tensor, Pack]]:
    pieces = hidden.split(lengths)
    firsts = torch.cat([p[:h] for p, h in zip(pieces, heads, strict=True)])
    seconds = torch.cat([p[h:] for p, h in zip(pieces, heads, strict=True)])
    left = [n - h for n, h in zip(lengths, heads, strict=True)]
    rest = _Later({"x": seconds}, torch.tensor(left), dtype=torch.float64)
    object.__setattr__(rest, "before", torch.tensor(heads))
    return (firsts, small.of(firsts, heads)), (seconds, rest)


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
