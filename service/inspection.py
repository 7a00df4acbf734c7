"""A manifest as a page that people read."""

from __future__ import annotations

from collections.abc import Iterator

from service.manifest import (
    AttentionStage,
    Column,
    ContextColumn,
    Manifest,
    Output,
    PaddedStage,
    SequenceStage,
    Stage,
    TokenStage,
    Variant,
)


def page(manifest: Manifest) -> list[str]:
    """The lines: a heading, then what is what, one thing per line."""
    own = manifest.architecture
    layers = f"{own.layers} layer{'s' if own.layers != 1 else ''}"
    head = (
        f"{manifest.name}/{manifest.version}: {own.name}, {layers}, {own.parameters:,} parameters"
    )
    return [head, *(f"{name:9} {text}" for name, text in _parts(manifest))]


def _parts(manifest: Manifest) -> Iterator[tuple[str, str]]:
    for column in manifest.columns:
        yield "reads", f"{column.name}: {_column(column)} per token"
    for column in manifest.context:
        yield "reads", f"{column.name}: {_column(column)} per sequence"
    for output in manifest.outputs:
        yield "answers", f"{output.name}: {_output(output)}"
    yield "lengths", _lengths(manifest)
    yield "order", _order(manifest)
    yield "memory", memory(manifest)
    yield "work", f"{manifest.flops_per_token:,} FLOPs per token"
    for stage in manifest.stages:
        yield "stage", f"{stage.file}: {_stage(stage)}"
    yield "promise", _promise(manifest)
    for variant in manifest.variants:
        yield "variant", _variant(variant)
    yield "proof", f"{manifest.numerics}, which tells these numbers from any others"
    yield "files", f"{len(manifest.files)}, each with its SHA-256"


def memory(manifest: Manifest) -> str:
    """Which case a bundle is: how often it passes over the tokens, and what it keeps of them."""
    passes = [stage for stage in manifest.stages if isinstance(stage, TokenStage)]
    kept = f"{manifest.bytes_per_token:,} bytes per token are kept"
    if any(isinstance(stage, PaddedStage) for stage in manifest.stages):
        return "a whole sequence at a time, padded; as much as its model takes"
    if any(isinstance(stage, AttentionStage) for stage in manifest.stages):
        return f"all keys of a sequence at once: {len(passes)} passes, {kept}"
    if len(passes) == 1:
        return "one pass, nothing kept: any length in constant memory, while it arrives"
    return f"{len(passes)} passes, {kept} between them; {_summaries(manifest)}"


def _summaries(manifest: Manifest) -> str:
    every = [s for t in manifest.stages if isinstance(t, TokenStage) for s in t.summaries]
    return f"summaries of {sum(s.numbers for s in every):,} numbers per sequence"


def _column(column: Column | ContextColumn) -> str:
    if column.kind == "vector":
        return f"{column.width} numbers"
    if column.kind == "numeric":
        return "a number, or NaN where it is missing" if column.missing else "a number"
    if column.kind == "time":
        return "a time"
    words = f" ({_some(column.labels)})" if column.labels else ""
    others = ", or any other" if column.unknown else ""
    return f"an id in {column.low}..{column.high}{others}{words}"


def _output(output: Output) -> str:
    what = "logit" if output.kind == "classification" else "number"
    labels = f" ({_some(output.labels)})" if output.labels else ""
    return f"{output.width} {what}{'s' if output.width > 1 else ''} per {output.per}{labels}"


def _some(words: tuple[str, ...]) -> str:
    words = tuple(word if word.isprintable() else ascii(word) for word in words)
    return ", ".join(words if len(words) <= 12 else (*words[:10], f"and {len(words) - 10} more"))


def _lengths(manifest: Manifest) -> str:
    most = "or more" if manifest.max_length is None else f"to {manifest.max_length:,}"
    trained = manifest.trained_lengths
    seen = f"; trained on {trained[0]:,} to {trained[1]:,}" if trained else ""
    return f"{manifest.min_length:,} {most} tokens{seen}"


def _order(manifest: Manifest) -> str:
    if manifest.equivariant:
        return "does not matter: permuted tokens have permuted answers"
    return "matters" + (": tokens are told their place" if manifest.positional else "")


def _stage(stage: Stage) -> str:
    if isinstance(stage, TokenStage):
        made = ", ".join(f"{s.name} ({s.merge}, {s.numbers:,} numbers)" for s in stage.summaries)
        return f"tokens, in slices{f' -> {made}' if made else ''}"
    if isinstance(stage, AttentionStage):
        keys = f"at most {stage.places:,} keys" if stage.places else "all keys"
        return f"attention, {stage.heads} heads, {keys} per query"
    if isinstance(stage, SequenceStage):
        return "sequences, from summaries alone"
    return f"padded batches, {len(stage.inputs)} inputs"


def _promise(manifest: Manifest) -> str:
    company = f"within {manifest.isolation:.0e}" if manifest.isolation else "to the last bit"
    return (
        f"within {manifest.tolerance:.0e} of the checkpoint in float64 (verification.md allows "
        f"ill-conditioned inputs more); alone, packed or sliced the same {company} on a CPU"
    )


def _variant(variant: Variant) -> str:
    pairs = ((name, value, variant.figures_fp32[name]) for name, value in variant.figures.items())
    figures = "".join(f", {name} {value:.4g} (fp32: {own:.4g})" for name, value, own in pairs)
    forced = ", forced" if variant.forced else ""
    error = f"{variant.name}: {variant.size:,} bytes, error {variant.error:.1e}"
    return f"{error}{figures}, {variant.speed:.2f} times as fast{forced}"
