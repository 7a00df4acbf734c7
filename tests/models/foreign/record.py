"""How the cases beside this file were made: the packages' own answers, on random weights.

    pip install linformer==0.2.3 performer-pytorch==1.1.4
    python -m tests.models.foreign.record

Weights are float32; answers are of the module in float64. The packages are not needed to read them.
"""

from __future__ import annotations

import json
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

CASES = Path(__file__).parent / "cases"
LENGTHS = (24, 1, 2, 13)
LINFORMER = {"dim": 16, "seq_len": 24, "k": 6, "heads": 2}
PERFORMER = {"dim": 16, "heads": 2, "dim_head": 8}
WORDS = {**PERFORMER, "num_tokens": 11, "max_seq_len": 24, "depth": 2}
WANTED: dict[str, tuple[str, dict[str, Any]]] = {
    "linformer-attention": ("LinformerSelfAttention", {**LINFORMER, "dim_head": 6}),
    "linformer-net": ("Linformer", {**LINFORMER, "depth": 2, "one_kv_head": True}),
    "linformer-words": (
        "LinformerLM",
        {**LINFORMER, "depth": 2, "num_tokens": 11, "one_kv_head": True, "share_kv": True},
    ),
    "performer-attention": ("SelfAttention", {**PERFORMER, "qkv_bias": True, "nb_features": 7}),
    "performer-net": ("Performer", {**PERFORMER, "depth": 2}),
    "performer-net-keys": ("Performer", {**PERFORMER, "depth": 2, "no_projection": True}),
    "performer-net-rezero": ("Performer", {**PERFORMER, "depth": 2, "use_rezero": True}),
    "performer-net-scale-gated": (
        "Performer",
        {**PERFORMER, "depth": 2, "use_scalenorm": True, "ff_glu": True},
    ),
    "performer-words": ("PerformerLM", WORDS),
    "performer-words-relu-tied": (
        "PerformerLM",
        {**WORDS, "generalized_attention": True, "tie_embed": True},
    ),
    "performer-words-places": ("PerformerLM", {**WORDS, "rotary_position_emb": False}),
    "performer-words-axial": (
        "PerformerLM",
        {
            **WORDS,
            "rotary_position_emb": False,
            "axial_position_emb": True,
            "axial_position_shape": (5, 6),
        },
    ),
}


def shaken(module: nn.Module) -> nn.Module:
    """Biases, norms and factors as training leaves them: not zero, not one."""
    for name, weights in module.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(weights, 0, 0.3)
        elif name.endswith(("norm.weight", ".g")):
            nn.init.uniform_(weights, 0.5, 1.5)
    return module.eval()


def inputs(kind: str, arguments: dict[str, Any]) -> list[Tensor]:
    """Ids of words, or vectors."""
    if kind.endswith("LM"):
        return [torch.randint(0, arguments["num_tokens"], (n,)) for n in LENGTHS]
    return [torch.randn(n, arguments["dim"]) for n in LENGTHS]


@torch.no_grad()
def record(name: str, kind: str, arguments: dict[str, Any]) -> None:
    """Write one case: state, inputs and outputs, and the arguments as metadata."""
    package = "linformer" if kind.startswith("Linformer") else "performer-pytorch"
    torch.manual_seed(0)
    module = shaken(getattr(import_module(package.replace("-", "_")), kind)(**arguments))
    tensors = {f"state.{k}": v.clone() for k, v in module.state_dict().items()}
    module = module.double()
    for i, given in enumerate(inputs(kind, arguments)):
        wide = given.double() if given.is_floating_point() else given
        tensors[f"input.{i}"], tensors[f"output.{i}"] = given, module(wide[None])[0].float()
    told = {"kind": kind, "arguments": json.dumps(arguments), "package": package}
    CASES.mkdir(exist_ok=True)
    save_file(tensors, CASES / f"{name}.safetensors", told | {"version": version(package)})


if __name__ == "__main__":
    for case, (kind, arguments) in WANTED.items():
        record(case, kind, arguments)
