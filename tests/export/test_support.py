from __future__ import annotations

from pathlib import Path

import pytest

from export.bundle import ExportError, export, limited
from export.support import unsupported
from models.architectures import Size, build
from models.checkpoint import Card, Checkpoint
from models.model import Model
from models.signature import Output, Signature, VectorColumn
from tests.export.architectures import NAMES, made


def checkpoint(architecture: str, max_length: int | None) -> Checkpoint:
    shape = Signature(
        columns=(VectorColumn(width=2),),
        outputs=(Output(per="sequence", width=1),),
        max_length=max_length,
    )
    own = build(architecture, shape, Size(width=8, heads=2))
    return Checkpoint(Card(name="mine", seed=0, model=own), Model(own))


@pytest.mark.parametrize("name", NAMES)
def test_every_architecture_is_supported(name: str) -> None:
    assert unsupported(made(name).model) is None


@pytest.mark.parametrize(
    ("architecture", "max_length", "reason"),
    [
        ("transformer", None, r"blocks\.0: transformer attention .* needs a max_length"),
        ("sparse-star", None, r"blocks\.0: sparse attention .* needs a max_length"),
        ("sparse-strided", 2_000_000, r"blocks\.0: sparse attention over .* more than"),
    ],
)
def test_what_cannot_be_exported_is_refused_with_the_reason_before_any_work(
    architecture: str, max_length: int | None, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=f"mine: cannot be exported: {reason}"):
        export(checkpoint(architecture, max_length), tmp_path, "1")
    assert not list(tmp_path.iterdir())


def test_a_limit_makes_attention_fit() -> None:
    made = limited(checkpoint("transformer", None), 64)
    assert unsupported(made.model) is None
    assert made.card.model.signature.max_length == 64


@pytest.mark.parametrize(("architecture", "limit"), [("linformer", 99), ("sumformer", 0)])
def test_a_limit_that_the_model_cannot_have_is_refused(architecture: str, limit: int) -> None:
    with pytest.raises(ExportError, match=f"--max-length {limit}: "):
        limited(checkpoint(architecture, 50), limit)
