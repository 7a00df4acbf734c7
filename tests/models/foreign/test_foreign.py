from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from export.bundle import export
from models.checkpoint import Checkpoint
from models.foreign import adopt
from models.foreign.state import ForeignError
from models.pack import Pack
from service.bundle import Bundle
from service.graph import Options
from service.pack import Pack as Served
from service.session import Session
from tests.export.test_verification import LEAST
from tests.models.foreign.record import CASES, WANTED


@dataclass(frozen=True, slots=True)
class Case:
    kind: str
    arguments: dict[str, Any]
    state: dict[str, Tensor]
    inputs: list[Tensor]
    outputs: list[Tensor]


def read(name: str) -> Case:
    """What `record` wrote."""
    with safe_open(CASES / f"{name}.safetensors", framework="pt") as file:
        told = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    state = {k.removeprefix("state."): v for k, v in tensors.items() if k.startswith("state.")}
    count = sum(key.startswith("input.") for key in tensors)
    return Case(
        told["kind"],
        json.loads(told["arguments"]),
        state,
        [tensors[f"input.{i}"] for i in range(count)],
        [tensors[f"output.{i}"] for i in range(count)],
    )


def adopted(name: str, **changes: object) -> tuple[Case, Checkpoint]:
    case = read(name)
    return case, adopt(case.kind, case.state, case.arguments | changes, name)


def error(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).abs().max() / wanted.abs().max())


@pytest.mark.parametrize("name", WANTED)
def test_outputs_are_the_package_s(name: str) -> None:
    case, made = adopted(name)
    column = made.card.model.signature.columns[0].name
    lengths = torch.tensor([len(given) for given in case.inputs])
    with torch.no_grad():
        (packed,) = made.model(Pack({column: torch.cat(case.inputs)}, lengths)).values()
    for found, wanted in zip(packed.split(lengths.tolist()), case.outputs, strict=True):
        assert error(found, wanted) <= 1e-5


@pytest.mark.parametrize("name", ["linformer-words", "performer-words", "performer-net-keys"])
def test_a_bundle_of_it_answers_as_the_package_does(name: str, tmp_path: Path) -> None:
    case, made = adopted(name)
    bundle = Bundle.open(export(made, tmp_path, "1", effort=LEAST))
    column = bundle.manifest.columns[0].name
    lengths = np.array([len(given) for given in case.inputs])
    pack = Served({column: torch.cat(case.inputs).numpy()}, lengths)
    (found,) = Session(bundle, Options()).run(pack).values()
    assert error(torch.from_numpy(found), torch.cat(case.outputs)) <= 1e-5


def test_without_the_epsilon_it_would_be_another_function() -> None:
    case, made = adopted("performer-net")
    for block in made.model.blocks:
        block.mixing.epsilon = 0.0  # type: ignore[union-attr]
    with torch.no_grad():
        lengths = torch.tensor([len(case.inputs[0])])
        (found,) = made.model(Pack({"x": case.inputs[0]}, lengths)).values()
    assert error(found, case.outputs[0]) > 1e-4


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("performer-words", {"causal": True}, "causal: a token would read a sum of its own"),
        ("performer-words", {"cross_attend": True}, "cross_attend: two sequences"),
        ("performer-words", {"shift_tokens": True}, "shift_tokens: features of neighbouring"),
        ("performer-words", {"local_attn_heads": 1}, "local_attn_heads: windows"),
        ("performer-words", {"reversible": True}, "reversible: two streams"),
        ("performer-words", {"kernel_fn": "gelu"}, "kernel_fn: only the package's own"),
        ("performer-words", {"num_tokens": None}, "num_tokens, max_seq_len: "),
        ("performer-words", {"size": 3}, "size: Extra inputs"),
        ("performer-words", {"depth": 3}, "the state_dict and the arguments differ: "),
        ("linformer-net", {"reversible": True}, "reversible: two streams"),
        ("linformer-words", {"num_tokens": None}, "num_tokens: "),
        ("linformer-net", {"seq_len": 30}, "the state_dict and the arguments differ: "),
    ],
)
def test_what_cannot_be_had_is_refused_with_the_reason(
    name: str, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ForeignError, match=message):
        adopted(name, **changes)


def test_a_tensor_that_is_not_there_is_named() -> None:
    case = read("linformer-words")
    state = {name: values for name, values in case.state.items() if name != "to_logits.bias"}
    with pytest.raises(ForeignError, match=r"no 'to_logits\.bias'"):
        adopt(case.kind, state, case.arguments, "mine")


def test_another_class_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ForeignError, match=r"no class 'Reformer' is known; .*PerformerLM"):
        adopt("Reformer", {}, {}, "mine")
