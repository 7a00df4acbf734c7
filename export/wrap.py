"""An ONNX model that takes padded batches -> a verified bundle that takes sequences as they are.

What the model is, its file tells, and what was said of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from export.folder import all_or_nothing, sealed
from export.wrap_cases import draw
from export.wrap_file import ModelFile, WrapError, read_model
from export.wrap_inputs import Inputs, Said, read_inputs
from export.wrap_outputs import Outputs, chosen_outputs, read_outputs, trial_lengths
from export.wrap_reference import Reference
from export.wrap_report import WrapReport, write_card
from export.wrap_verification import (
    LEAST_ISOLATION,
    LEAST_TOLERANCE,
    MOST_ISOLATION,
    SLACK,
    WrapVerifier,
    allowing,
    isolation,
    tolerance,
)
from service.bundle import GOLDEN, Bundle
from service.columns import FileName
from service.elsewhere import run_elsewhere
from service.errors import BundleError
from service.graph import Options
from service.manifest import Architecture, Manifest, PaddedStage
from service.pack import Pack
from service.runtime import Threads
from service.session import Session
from service.verification import check_company, check_golden, largest_error, per_sequence

GRAPH = "stage0.onnx"
MOST_TOKENS = 512  # of a sequence, where neither the graph nor anybody says


@dataclass(frozen=True, slots=True)
class Request:
    """What is to become of a model, and what was said of it.

    max_length: None for the length that the graph fixes, or MOST_TOKENS where it takes any.
    """

    name: str
    version: str = "1"
    min_length: int = 1
    max_length: int | None = None
    said: Said = field(default_factory=Said)


def wrap(path: Path, root: Path, request: Request, force: bool = False) -> Path:
    """Write and verify ``root/name/version``; nothing is left behind unless all went well.

    Raises WrapError, one line, when the folder exists and ``force`` is not set, when the model
    cannot be wrapped, and when padding changes its answers or company does too much.
    """
    final = _final(root, request, force)
    model, said = read_model(path), request.said
    names = chosen_outputs(model.outputs, said)
    _check_renamed({*model.outputs, *(own.name for own in model.inputs)}, said)
    inputs = read_inputs(model.inputs, said)
    longest = _longest(request, inputs)
    graph = model.only(names)
    reference = Reference(graph, inputs.inputs, inputs.fixed.get("b"))
    shortest = [max(1, request.min_length)] * 3
    some = draw(inputs.columns, inputs.context, shortest, np.random.default_rng(3))
    lengths = trial_lengths(inputs, request.min_length, longest)
    outputs = read_outputs(reference, some, lengths, inputs, said)
    manifest = _manifest(model, request, inputs, outputs, longest)
    with all_or_nothing(final) as folder:
        (folder / GRAPH).write_bytes(graph)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        write_card(folder, manifest, path.name, digest)
        _prove(folder, manifest, reference, inputs)
    return final


def _final(root: Path, request: Request, force: bool) -> Path:
    version = request.version
    if not (version.isascii() and version.isdecimal() and len(version) <= 9):
        raise WrapError(f"version {version!r}: must be a number of at most nine digits")
    try:
        name = TypeAdapter(FileName).validate_python(request.name)
    except ValidationError as error:
        raise WrapError(f"name {request.name!r}: {error.errors()[0]['msg']}") from error
    final = root / name / version
    if final.exists() and not force:
        raise WrapError(f"{final} exists; choose another version, or --force to replace it")
    return final


def _check_renamed(names: set[str], said: Said) -> None:
    for name in said.rename:
        if name not in names:
            raise WrapError(f"--rename {name}: inputs and outputs are {', '.join(sorted(names))}")


def _longest(request: Request, inputs: Inputs) -> int:
    """The longest sequence that is taken."""
    fixed, said = inputs.fixed.get("n"), request.max_length
    longest = said if said is not None else fixed or MOST_TOKENS
    if fixed is not None and longest > fixed:
        raise WrapError(f"--max-length {longest}: the graph takes {fixed} places, no more")
    if not 0 <= request.min_length <= longest or not longest:
        raise WrapError(f"no sequence has from {request.min_length} to {longest} tokens")
    return longest


def _manifest(
    model: ModelFile, request: Request, inputs: Inputs, outputs: Outputs, longest: int
) -> Manifest:
    stage = PaddedStage(file=GRAPH, inputs=inputs.inputs, outputs=outputs.outputs)
    try:
        return Manifest(
            name=request.name,
            version=request.version,
            architecture=Architecture(name="onnx", parameters=model.parameters, layers=0),
            columns=inputs.columns,
            context=inputs.context,
            outputs=outputs.answers,
            equivariant=False,
            positional=True,
            min_length=request.min_length,
            max_length=longest,
            trained_lengths=None,
            stages=(stage,),
            opset=model.opset,
            tolerance=LEAST_TOLERANCE,
            files={},
        )
    except ValidationError as error:
        raise WrapError(f"{request.name}: {error.errors()[0]['msg']}") from error


def _prove(folder: Path, manifest: Manifest, reference: Reference, inputs: Inputs) -> None:
    """All files but the graph and the card; WrapError when the proof fails."""
    session = Session(Bundle(folder, sealed(folder, manifest)), Options())
    verifier = WrapVerifier(reference, session, inputs.fixed)
    findings = list(verifier.run())
    golden = verifier.golden()
    golden.save(folder / GOLDEN)
    sealed(folder, manifest)
    threads = _other_threads(folder, session, golden.pack)
    isolated = isolation(findings, threads)
    while True:
        stated = {"isolation": isolated, "tolerance": tolerance(findings, isolated)}
        manifest = manifest.model_copy(update=stated)
        allowing(golden, manifest.tolerance).save(folder / GOLDEN)
        WrapReport(manifest, findings, verifier.points, threads).write(folder)
        sealed(folder, manifest)
        if _holds(folder):
            return
        isolated = max(LEAST_ISOLATION, SLACK * isolated)  # golden tokens move more than others
        if isolated > MOST_ISOLATION:
            raise WrapError(f"what else is in a pack changes answers by {isolated:.1e} or more")


def _holds(folder: Path) -> bool:
    """Whether the finished bundle passes what `sumserve verify` checks of company."""
    bundle = Bundle.open(folder)
    session = Session(bundle, Options())
    check_golden(bundle, session)
    try:
        check_company(bundle, session, bundle.manifest.max_length or 1)
    except BundleError:
        return False
    return True


def _other_threads(folder: Path, session: Session, pack: Pack) -> float:
    """By how much another number of threads moves answers."""
    outputs, other = session.manifest.outputs, 1 if Threads.start() > 1 else 2
    here, there = session.run(pack), run_elsewhere(folder, other, pack)
    mine, theirs = per_sequence(outputs, pack, here), per_sequence(outputs, pack, there)
    return largest_error(theirs, mine)
