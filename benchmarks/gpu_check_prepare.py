"""What `gpu_check` needs and only a machine for training can make -> build/gpu.

The reference model as a bundle with half floats, its weights for torch, and padded graphs of it.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.baselines import Padded, layer_of, pool_of
from benchmarks.gpu_check_speed import PADDED, WEIGHTS
from benchmarks.reference import checkpoint
from export.bundle import export
from export.cases import QUICK
from export.onnx_graph import OPSET
from export.precision import half
from models.layers.sumformer import SumformerLayer


def prepare(folder: Path) -> None:
    """Write all of it; takes a minute."""
    warnings.simplefilter("ignore")
    for name in ("reference", "reference-pooled"):
        made = export(
            checkpoint(name),
            folder / "bundles",
            "1",
            force=True,
            effort=QUICK,
            variants=["fp16"],
            forced=["fp16"],
        )
        print(made, flush=True)
    layer = layer_of(checkpoint("reference").model)
    np.savez(folder / WEIGHTS, **weights(layer))  # type: ignore[arg-type]
    graph = padded(layer)
    (folder / PADDED["fp32"]).write_bytes(graph)
    (folder / PADDED["fp16"]).write_bytes(half(graph))
    print(json.dumps({path.name: path.stat().st_size for path in folder.glob("*.*")}))


def weights(layer: SumformerLayer) -> dict[str, np.ndarray]:
    """Every linear map of the layer, in the order in which a token meets them."""
    pool, found = pool_of(layer), {}
    parts = {
        "phi": pool.phi.body,
        "last": pool.phi.last,
        "token": layer.from_token,
        "summary": layer.from_summary,
        "tail": layer.tail,
    }
    for name, part in parts.items():
        linear = [module for module in part.modules() if isinstance(module, nn.Linear)]
        for i, module in enumerate(linear):
            found[f"{name}.{i}.weight"] = module.weight.detach().numpy()
            if module.bias is not None:
                found[f"{name}.{i}.bias"] = module.bias.detach().numpy()
    return found


def padded(layer: SumformerLayer) -> bytes:
    """The model on padded batches as one graph; phi's last map after the sum, as in ours."""
    examples = (torch.zeros(3, 7, layer.from_token.in_features), torch.ones(3, 7, 1))
    dynamic = {0: "batch", 1: "length"}
    program = torch.onnx.export(
        Padded(layer, deferred=True).eval(),
        examples,
        input_names=["hidden", "mask"],
        output_names=["y"],
        dynamo=True,
        opset_version=OPSET,
        dynamic_shapes=(dynamic, dynamic),
        external_data=False,
        verbose=False,
    )
    assert program is not None
    graph: bytes = program.model_proto.SerializeToString()
    return graph
