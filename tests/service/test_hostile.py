"""Bundles that somebody made to do harm: each is refused with one line that names the culprit."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from service.bundle import Bundle, Golden
from service.cli import main
from service.errors import BundleError
from service.graph import Options
from service.session import Session
from service.verification import check_golden
from tests.service.harms import HARMS, Harm, vouch


@pytest.fixture
def copy(bundles: Path, tmp_path: Path) -> Path:
    """A bundle to be harmed."""
    return Path(shutil.copytree(bundles / "plain" / "1", tmp_path / "plain" / "1"))


def opened(folder: Path) -> float:
    """All that a server does before it is ready -> the golden error."""
    bundle = Bundle.open(folder)
    return check_golden(bundle, Session(bundle, Options()))


@pytest.mark.parametrize(("harm", "message"), HARMS, ids=[harm.__name__ for harm, _ in HARMS])
def test_a_hostile_bundle_is_refused_in_one_line(
    harm: Harm, message: str, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    harm(copy)
    with pytest.raises(BundleError, match=message) as caught:
        opened(copy)
    assert "\n" not in str(caught.value)
    assert main(["verify", str(copy), "--tokens", "0"]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_what_is_not_harmed_is_opened(copy: Path) -> None:
    vouch(copy)
    assert opened(copy) <= Bundle.open(copy).manifest.tolerance


def test_golden_data_survive_their_file(copy: Path) -> None:
    bundle = Bundle.open(copy)
    golden = bundle.golden()
    golden.save(copy / "again.npz")
    again = Golden.load((copy / "again.npz").read_bytes(), bundle.manifest)
    np.testing.assert_array_equal(again.pack.lengths, golden.pack.lengths)
    for name, rows in golden.outputs.items():
        np.testing.assert_array_equal(again.outputs[name], rows)
        np.testing.assert_array_equal(again.allowed[name], golden.allowed[name])
