"""Checkpoints of well-known packages, as models of ours with the same outputs.

A package's class by its name, its state_dict, and what its constructor was told: a state_dict alone
does not say all of it (whether it was causal, for one). Outputs are those of a sequence alone: the
packages' own masks do not take padding out of every sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from models.checkpoint import Card, Checkpoint
from models.foreign import linformer, performer
from models.foreign.state import Adopted, ForeignError
from models.model import Model
from models.reason import reason

State = Mapping[str, Tensor]

# class -> (package, how it is read)
CLASSES: dict[str, tuple[str, Callable[[str, State, Mapping[str, Any]], Adopted]]] = {
    "LinformerSelfAttention": ("linformer", linformer.adopt),
    "Linformer": ("linformer", linformer.adopt),
    "LinformerLM": ("linformer", linformer.adopt),
    "SelfAttention": ("performer-pytorch", performer.adopt),
    "Performer": ("performer-pytorch", performer.adopt),
    "PerformerLM": ("performer-pytorch", performer.adopt),
}


def adopt(kind: str, state: State, arguments: Mapping[str, Any], name: str) -> Checkpoint:
    """A package's weights -> a checkpoint of ours of that name.

    Raises ForeignError saying which class or argument is not known or cannot be had, or which
    tensor does not fit.
    """
    if kind not in CLASSES:
        known = ", ".join(f"{own} ({package})" for own, (package, _) in CLASSES.items())
        raise ForeignError(f"no class {kind!r} is known; there are {known}")
    try:
        found = CLASSES[kind][1](kind, state, arguments)
        model = Model(found.config)
    except ValidationError as error:
        raise ForeignError(f"{kind}: {reason(error)}") from error
    except KeyError as error:
        raise ForeignError(f"{kind}: the state_dict has no {error.args[0]!r}") from error
    except (ValueError, RuntimeError) as error:
        raise ForeignError(f"{kind}: {str(error).splitlines()[0]}") from error
    floats = {k: v.float() if v.is_floating_point() else v for k, v in found.state.items()}
    try:
        model.load_state_dict(floats, strict=True)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise ForeignError(f"{kind}: the state_dict and the arguments differ: {first}") from error
    try:
        card = Card(name=name, seed=0, model=found.config)
    except ValidationError as error:
        raise ForeignError(reason(error)) from error
    return Checkpoint(card, model.eval())
