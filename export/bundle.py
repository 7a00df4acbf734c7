"""Checkpoint -> bundle folder: graphs, manifest, golden data, verification. All or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import ValidationError
from tqdm import tqdm

from export import description, examples
from export.cases import FULL, Effort
from export.folder import all_or_nothing, sealed
from export.onnx_graph import OPSET, to_onnx
from export.report import Report
from export.stages import AttentionStage, cut
from export.support import unsupported
from export.variants import Name, VariantError, Variants, unmeasured
from export.verification import LEAST_TOLERANCE, VerificationError, Verifier
from models.checkpoint import Card, Checkpoint
from models.config import ModelConfig
from models.model import Model
from models.reason import reason as why
from service.bundle import GOLDEN, MODEL_CARD, Bundle
from service.errors import BundleError, SumserveError
from service.graph import Options
from service.manifest import Manifest, Stage
from service.runtime import Threads
from service.session import Session
from service.verification import THREADED, allowed, check_company, other_threads, resample

SERVED = Options()
RACE_TOKENS = 16_384  # of a variant, twenty times


class ExportError(SumserveError):
    """The bundle cannot be written."""


def export(
    checkpoint: Checkpoint,
    root: Path,
    version: str,
    options: Options = SERVED,
    force: bool = False,
    effort: Effort = FULL,
    card: str | None = None,
    variants: Sequence[Name] = (),
    forced: Sequence[Name] = (),
) -> Path:
    """Write and verify ``root/name/version``; nothing is left behind unless all went well.

    ``card`` is the text of the model card, if there is one; ``variants`` are in lower precision,
    ``forced`` those to be written even if the task's score falls too far.
    Raises ExportError when the folder exists and ``force`` is not set or when no bundle can hold
    such a model, VerificationError when the bundle does not answer what the checkpoint answers,
    VariantError when a variant is too much worse.
    """
    if not (version.isascii() and version.isdecimal() and len(version) <= 9):
        raise ExportError(f"version {version!r}: must be a number of at most nine digits")
    reason = unsupported(checkpoint.model)
    if reason is not None:
        raise ExportError(f"{checkpoint.card.name}: cannot be exported: {reason}")
    final = root / checkpoint.card.name / version
    if final.exists() and not force:
        raise ExportError(f"{final} exists; choose another version, or --force to replace it")
    with all_or_nothing(final) as folder:
        (folder / MODEL_CARD).write_text(card or f"# {checkpoint.card.name}\n\nNo model card.\n")
        try:
            manifest = _manifest(checkpoint, version, *_write_stages(checkpoint.model, folder))
        except ValidationError as error:
            raise ExportError(f"{checkpoint.card.name}: {why(error)}") from error
        session = Session(Bundle(folder, sealed(folder, manifest)), options)
        verifier = Verifier(checkpoint.model, session, effort)
        manifest = manifest.model_copy(update={"tolerance": verifier.tolerance})
        verifier.golden().save(folder / GOLDEN)
        sealed(folder, manifest)
        findings = list(verifier.run())
        threads = _same_with_threads(folder, session)
        manifest = _with_variants(folder, manifest, checkpoint.card, variants, forced)
        name = f"{manifest.name}/{version}"
        Report(name, verifier.tolerance, findings, threads, manifest.variants).write(folder)
        sealed(folder, manifest)
        Bundle.open(folder)
    return final


def limited(checkpoint: Checkpoint, max_length: int) -> Checkpoint:
    """The same weights, for sequences of at most so many tokens; ExportError if there are fewer."""
    shape = checkpoint.card.model.signature
    own = {**checkpoint.card.model.model_dump(), "signature": shape.model_dump()}
    own["signature"]["max_length"] = max_length
    try:
        model = Model(ModelConfig.model_validate(own)).eval()
        model.load_state_dict(checkpoint.model.state_dict())
    except (ValueError, RuntimeError) as error:
        what = why(error) if isinstance(error, ValidationError) else str(error).splitlines()[-1]
        raise ExportError(f"--max-length {max_length}: {what}") from error
    return Checkpoint(checkpoint.card.model_copy(update={"model": model.config}), model)


def _write_stages(model: Model, folder: Path) -> tuple[tuple[Stage, ...], int]:
    """Every stage's graph -> the stages, and the bytes per token that are kept between them."""
    shape, stages, kept = model.config.signature, [], 0
    given = examples.of_columns(shape)
    for i, stage in enumerate(tqdm(list(cut(model)), "export", unit="stage")):
        file = f"stage{i}.onnx"
        reads = examples.of_attention(given, stage) if isinstance(stage, AttentionStage) else given
        graph, found = to_onnx(stage, reads)
        (folder / file).write_bytes(graph)
        stages.append(description.stage(stage, file, found, shape.max_length))
        given = examples.after(given, stage, found)
        kept = max(kept, description.bytes_per_token(found))
    return tuple(stages), kept


def _with_variants(
    folder: Path, manifest: Manifest, card: Card, names: Sequence[Name], forced: Sequence[Name]
) -> Manifest:
    """Write variants one by one, and measure each through the session that will serve it."""
    maker = Variants.of(Bundle.open(folder), card)
    for name in names:
        files, before = maker.write(name), manifest.variants
        draft = manifest.model_copy(update={"variants": (*before, unmeasured(name, files))})
        variant = maker.measured(name, Bundle(folder, sealed(folder, draft)), files)
        reason = maker.too_bad(variant)
        if reason is not None and name not in forced:
            raise VariantError(f"{manifest.name}: {reason}; --force-variant {name} takes it")
        variant = variant.model_copy(update={"forced": reason is not None})
        manifest = manifest.model_copy(update={"variants": (*before, variant)})
        whole = Bundle(folder, sealed(folder, manifest))
        check_company(whole, Session(whole, Options(variant=name)), RACE_TOKENS)
    return manifest


def _manifest(
    checkpoint: Checkpoint, version: str, stages: tuple[Stage, ...], bytes_per_token: int
) -> Manifest:
    card, shape = checkpoint.card, checkpoint.card.model.signature
    return Manifest(
        name=card.name,
        version=version,
        architecture=description.architecture(checkpoint.model),
        columns=description.columns(shape),
        context=description.context(shape),
        outputs=description.outputs(shape),
        equivariant=checkpoint.model.equivariant,
        positional=checkpoint.model.positional,
        min_length=shape.min_length,
        max_length=shape.max_length,
        trained_lengths=card.trained_lengths,
        stages=stages,
        flops_per_token=description.flops_per_token(checkpoint.model),
        bytes_per_token=bytes_per_token,
        opset=OPSET,
        tolerance=LEAST_TOLERANCE,
        files={},
    )


def _same_with_threads(folder: Path, session: Session) -> tuple[int, ...]:
    """The numbers of threads that gave the same answers to the last bit, over whole slices.

    Raises VerificationError where another number than this process's gave others.
    """
    bundle, rng = Bundle.open(folder), np.random.default_rng(0)
    golden, own = bundle.golden(), bundle.manifest
    usual = golden.pack.take(np.flatnonzero(golden.usual))
    try:
        other_threads(bundle, session, resample(usual, allowed(own, THREADED), rng))
    except BundleError as error:
        raise VerificationError(str(error)) from error
    here = Threads.start()
    return tuple(sorted((here, 1 if here > 1 else 2)))
