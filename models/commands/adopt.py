"""Import a checkpoint of the linformer or performer-pytorch package, with the same outputs.

    sumserve import LinformerLM weights.pt --with dim=512 --with seq_len=4096 --with depth=12 \\
        --with heads=8 --with num_tokens=20000 --name mine --check answers.npz

--with repeats what the class's constructor was told: a state_dict alone does not say all of it.
answers.npz holds an input and the package's own output for it, (n,) ids or (n, dim) vectors and
(n, width): import stops where ours differ by more than 1e-5 of the largest. Weights are in a
.safetensors file or what torch.save wrote of a state_dict; nothing in the file is executed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.commands.train import refused

if TYPE_CHECKING:
    from torch import Tensor

    from models.checkpoint import Checkpoint

SUMMARY = "import a checkpoint of the linformer or performer-pytorch package"
CLOSE = 1e-5
NESTED = ("state_dict", "model_state_dict", "model")  # where trainers keep it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to import, and as what."""
    about = "LinformerSelfAttention, Linformer, LinformerLM, SelfAttention, Performer, PerformerLM"
    parser.add_argument("kind", metavar="CLASS", help=about)
    parser.add_argument("weights", type=Path, metavar="WEIGHTS", help="a .safetensors or .pt file")
    about = "what the constructor was told; values are JSON (may be repeated)"
    parser.add_argument(
        "--with", dest="told", action="append", default=[], metavar="KEY=VALUE", help=about
    )
    parser.add_argument("--name", required=True, help="the checkpoint's and the bundle's name")
    parser.add_argument("--check", type=Path, metavar="NPZ", help="input and output to compare")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("build/checkpoints"),
        metavar="FOLDER",
        help="written as FOLDER/name (default: build/checkpoints)",
    )


def run(args: argparse.Namespace) -> int:
    """Import, compare, and print where the checkpoint is."""
    from models.checkpoint import CheckpointError
    from models.foreign import adopt
    from models.foreign.state import ForeignError

    try:
        told = dict(_told(text) for text in args.told)
        checkpoint = adopt(args.kind, _state(args.weights), told, args.name)
        if args.check is not None:
            print(f"largest difference {_compare(checkpoint, args.check):.1e}", file=sys.stderr)
        checkpoint.save(args.out / args.name)
    except (ForeignError, CheckpointError, ValueError) as error:
        return refused("import", error, 1)
    (args.out / args.name / "README.md").write_text(_card(args, told))
    print(args.out / args.name)
    return 0


def _told(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--with {text}: must be KEY=VALUE")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError as error:
        raise ValueError(f"--with {text}: the value must be JSON, as in 8, true or null") from error


def _state(path: Path) -> Mapping[str, Tensor]:
    """A state_dict; what data-parallel training puts before its names is taken off."""
    import torch
    from safetensors.torch import load_file

    from models.foreign.state import ForeignError

    try:
        found = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except Exception as error:  # whatever zip, pickle and safetensors make of other bytes
        what = (str(error) or type(error).__name__).splitlines()[0]
        raise ForeignError(f"{path}: cannot be read as weights: {what}") from error
    for key in NESTED:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not all(torch.is_tensor(v) for v in found.values()):
        raise ForeignError(f"{path}: holds no state_dict of tensors")
    return {name.removeprefix("module."): values for name, values in found.items()}


def _compare(checkpoint: Checkpoint, path: Path) -> float:
    """The largest difference from the package's own output, over its largest number."""
    import numpy as np
    import torch

    from models.foreign.state import ForeignError
    from models.pack import Pack
    from models.signature import VectorColumn

    try:
        with np.load(path, allow_pickle=False) as arrays:
            given, wanted = torch.from_numpy(arrays["input"]), torch.from_numpy(arrays["output"])
    except Exception as error:  # whatever zip and npy make of other bytes
        raise ForeignError(f"{path}: needs arrays named input and output: {error}") from error
    column = checkpoint.card.model.signature.columns[0]
    shape = (len(given), column.width) if isinstance(column, VectorColumn) else (len(given),)
    if given.shape != shape:
        raise ForeignError(f"{path}: input is {tuple(given.shape)}, one sequence is {shape}")
    given = given.float() if isinstance(column, VectorColumn) else given.long()
    with torch.no_grad():
        pack = Pack({column.name: given}, torch.tensor([len(given)]))
        (found,) = checkpoint.model(pack).values()
    if found.shape != wanted.shape:
        have, want = tuple(found.shape), tuple(wanted.shape)
        raise ForeignError(f"{path}: output is {want}, ours is {have}")
    worst = float((found - wanted).abs().max() / wanted.abs().max())
    if not worst <= CLOSE:
        raise ForeignError(
            f"{path}: outputs differ by {worst:.1e} of the largest, more than {CLOSE:.0e}: was the "
            "constructor told something that --with leaves out?"
        )
    return worst


def _card(args: argparse.Namespace, told: Mapping[str, Any]) -> str:
    arguments = ", ".join(f"{key}={value!r}" for key, value in told.items())
    checked = "compared with the package's own output" if args.check else "not compared"
    return f"# {args.name}\n\nImported from {args.kind}({arguments}); outputs were {checked}.\n"
