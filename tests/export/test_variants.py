from __future__ import annotations

import json
from pathlib import Path

import pytest

from export import variants as making
from export.bundle import export
from export.variants import VariantError
from models.checkpoint import Checkpoint
from service.bundle import Bundle
from service.cli import main
from service.errors import BundleError
from service.graph import Options
from service.session import Session
from service.verification import check_company, check_golden
from tests.conftest import ROOT, small_checkpoint
from tests.export.architectures import made
from tests.export.test_verification import LEAST


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The shipped model with both variants."""
    checkpoint = Checkpoint.load(ROOT / "models" / "checkpoints" / "digits")
    root = tmp_path_factory.mktemp("variants")
    folder = export(checkpoint, root, "1", effort=LEAST, variants=("fp16", "int8"))
    return Bundle.open(folder)


@pytest.mark.parametrize("name", ["fp16", "int8"])
def test_a_variant_says_what_it_costs(name: str, digits: Bundle) -> None:
    variant = digits.manifest.variant(name)
    assert variant is not None
    assert 0 < variant.error < 0.5
    assert {1, 1_000, 100_000} <= variant.by_length.keys()
    assert variant.figures["accuracy"] >= variant.figures_fp32["accuracy"] - 0.01
    assert variant.size < sum(len(digits.read(s.file)) for s in digits.manifest.stages)
    page = (digits.folder / "verification.md").read_text()
    assert f"| {name} |" in page


@pytest.mark.parametrize("name", ["fp16", "int8"])
def test_a_variant_is_verified_as_float32_is(name: str, digits: Bundle) -> None:
    session = Session(digits, Options(variant=name))
    assert 1e-4 < check_golden(digits, session) <= session.tolerance
    assert check_company(digits, session, 1_000) > 20
    assert main(["verify", str(digits.folder), "--variant", name, "--tokens", "500"]) == 0


def test_a_variant_that_is_not_there_is_refused(digits: Bundle, plain: Bundle) -> None:
    with pytest.raises(BundleError, match="plain/1 has no variant 'int8'; it has fp32"):
        Session(plain, Options(variant="int8"))


def test_a_variant_whose_score_falls_is_refused_unless_forced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "MOST_DROP", -1.0)
    monkeypatch.setattr(making, "MOST_SHARE", -1.0)
    checkpoint = Checkpoint.load(ROOT / "models" / "checkpoints" / "polynomial")
    with pytest.raises(VariantError, match=r"fp16: the score falls from .* --force-variant fp16"):
        export(checkpoint, tmp_path, "1", effort=LEAST, variants=("fp16",))
    assert not list(tmp_path.iterdir())
    folder = export(checkpoint, tmp_path, "1", effort=LEAST, variants=["fp16"], forced=["fp16"])
    (variant,) = json.loads((folder / "bundle.json").read_text())["variants"]
    assert variant["forced"] is True


def test_a_model_without_wide_products_has_no_variant(tmp_path: Path) -> None:
    with pytest.raises(VariantError, match="pooled: int8: no product of tokens is wide enough"):
        export(small_checkpoint("pooled"), tmp_path, "1", effort=LEAST, variants=["int8"])


def test_a_model_of_no_known_task_has_errors_and_no_figures(tmp_path: Path) -> None:
    folder = export(made("performer"), tmp_path, "1", effort=LEAST, variants=["fp16"])
    variant = Bundle.open(folder).manifest.variant("fp16")
    assert variant is not None
    assert (variant.figures, variant.figures_fp32) == ({}, {})
