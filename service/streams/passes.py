"""Whether a model can take its sequence piece by piece, and how many passes over it that takes."""

from __future__ import annotations

from service.errors import BadRequest
from service.manifest import AttentionStage, Manifest, PaddedStage, TokenStage

WHOLE = {
    AttentionStage: "its tokens attend to each other, which takes all of them at once",
    PaddedStage: "it is a wrapped model, which takes padded sequences as a whole",
}


def passes(manifest: Manifest) -> int | None:
    """How often every token is looked at: once per token stage. None where it cannot stream."""
    if _why_not(manifest):
        return None
    return sum(isinstance(stage, TokenStage) for stage in manifest.stages)


def check_streams(manifest: Manifest) -> None:
    """BadRequest saying why a model cannot stream, and what to use."""
    why = _why_not(manifest)
    if why:
        instead = f"POST the sequence to /v1/models/{manifest.name}/predict"
        raise BadRequest(f"model {manifest.name!r} cannot be streamed to: {why}; {instead}")


def _why_not(manifest: Manifest) -> str:
    for stage in manifest.stages:
        if type(stage) in WHOLE:
            return WHOLE[type(stage)]
    return ""
