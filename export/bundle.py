"""Checkpoint -> bundle folder: graphs, manifest, golden data, verification. All or nothing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from export.onnx_graph import OPSET, to_onnx
from export.stages import cut, latent_dims
from export.support import unsupported
from export.verification import Verifier, allowed_lengths
from models.checkpoint import Checkpoint
from models.model import Model
from models.signature import IdsColumn as Ids
from models.signature import Signature
from models.signature import VectorColumn as Vector
from service.bundle import GOLDEN, MANIFEST, VERIFICATION, Bundle, write_golden
from service.errors import SumserveError
from service.manifest import Architecture, IdsColumn, Manifest, Output, Stage, VectorColumn
from service.runtime import Threads, onnxruntime
from service.session import Options, Session

TOLERANCE = 1e-5
SERVED = Options()
GOLDEN_LENGTHS = (1, 2, 16, 17, 40, 100, 0)


class ExportError(SumserveError):
    """The bundle cannot be written."""


def export(
    checkpoint: Checkpoint, root: Path, version: str, options: Options = SERVED, force: bool = False
) -> Path:
    """Write and verify ``root/name/version``; nothing is left behind unless all went well.

    Raises ExportError when the folder exists and ``force`` is not set or when no bundle can hold
    such a model, VerificationError when the bundle does not answer what the checkpoint answers.
    """
    if not (version.isascii() and version.isdecimal() and len(version) <= 9):
        raise ExportError(f"version {version!r}: must be a number of at most nine digits")
    reason = unsupported(checkpoint.card.model)
    if reason is not None:
        raise ExportError(f"{checkpoint.card.name}: cannot be exported: {reason}")
    final = root / checkpoint.card.name / version
    if final.exists() and not force:
        raise ExportError(f"{final} exists; choose another version, or --force to replace it")
    with _all_or_nothing(final) as folder:
        stages = _write_stages(checkpoint.model, folder)
        draft = _manifest(checkpoint, version, stages, _hashes(folder))
        session = Session(Bundle(folder, draft), options)
        _write_proof(folder, Verifier(checkpoint.model, session), options)
        manifest = _manifest(checkpoint, version, stages, _hashes(folder))
        manifest = manifest.model_copy(update={"digest": manifest.computed_digest()})
        (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")
        Bundle.open(folder)
    return final


def _write_stages(model: Model, folder: Path) -> list[Stage]:
    stages = []
    for i, graph in enumerate(tqdm(cut(model), "export", unit="stage")):
        file = f"stage{i}.onnx"
        (folder / file).write_bytes(to_onnx(graph))
        stages.append(Stage(file=file, summary_width=graph.summary_width))
    return stages


def _manifest(
    checkpoint: Checkpoint, version: str, stages: list[Stage], files: dict[str, str]
) -> Manifest:
    card, shape = checkpoint.card, checkpoint.card.model.signature
    return Manifest(
        name=card.name,
        version=version,
        task=shape.outputs[0].kind,
        architecture=_architecture(checkpoint.model),
        columns=(_column(shape),),
        outputs=(_output(shape),),
        equivariant=checkpoint.model.equivariant,
        positional=False,
        min_length=shape.min_length,
        max_length=shape.max_length,
        trained_lengths=card.trained_lengths,
        stages=tuple(stages),
        opset=OPSET,
        tolerance=TOLERANCE,
        files=files,
    )


def _architecture(model: Model) -> Architecture:
    return Architecture(
        name=model.config.architecture,
        parameters=sum(p.numel() for p in model.parameters()),
        layers=len(model.blocks),
        latent_dims=latent_dims(model),
    )


def _column(shape: Signature) -> VectorColumn | IdsColumn:
    column = shape.columns[0]
    if isinstance(column, Ids):
        return IdsColumn(name=column.name, low=column.low, high=column.high)
    assert isinstance(column, Vector)
    return VectorColumn(name=column.name, width=column.width)


def _output(shape: Signature) -> Output:
    own = shape.outputs[0]
    return Output(name=own.name, per=own.per, width=own.width, labels=own.labels)


def _write_proof(folder: Path, verifier: Verifier, options: Options) -> None:
    """golden.npz and verification.json, both made by the session class that will serve."""
    lengths = allowed_lengths(verifier.shape, GOLDEN_LENGTHS)
    pack = verifier.draw(lengths, np.random.default_rng(3))
    outputs = {verifier.output.name: verifier.reference(pack).astype(np.float32)}
    write_golden(folder / GOLDEN, pack, outputs)
    proof = {
        "reference": "the checkpoint's forward in float64",
        "torch": torch.__version__,
        "onnxruntime": onnxruntime().__version__,
        "options": {"threads": Threads.start(), **asdict(options)},
        "tolerance": TOLERANCE,
        "cases": verifier.run(),
    }
    (folder / VERIFICATION).write_text(json.dumps(proof, indent=2) + "\n")


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(folder.iterdir())
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@contextmanager
def _all_or_nothing(final: Path) -> Iterator[Path]:
    """A scratch folder that becomes ``final`` when the block succeeds, and is gone when not.

    An older ``final`` is there until the new one is complete.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
    new, old = scratch / "new", scratch / "old"
    new.mkdir()
    try:
        yield new
        if final.exists():
            os.rename(final, old)
        os.rename(new, final)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        with suppress(OSError):  # not empty: a version is there
            final.parent.rmdir()
