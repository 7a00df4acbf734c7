from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from export import wrap as wrapping_module
from export.wrap_file import WrapError
from export.wrap_verification import Finding, isolation, tolerance
from service.bundle import Bundle
from service.errors import BundleError
from service.pack import Array, Pack
from service.session import Session
from tests.export import padded_models
from tests.export.wrapping import left, wrapped


def finding(error: float, different: int, padding: float | None = 0.0) -> Finding:
    return Finding("mine", 2, 8, 4, padding, error, 5, different, error)


def test_isolation_is_nothing_where_no_bit_differed() -> None:
    assert isolation([finding(0.0, 0), finding(0.0, 0)], 0.0) == 0.0


def test_isolation_is_several_times_the_largest_difference() -> None:
    assert isolation([finding(1e-6, 1), finding(1e-4, 1)], 1e-5) == pytest.approx(4e-4)
    assert isolation([finding(0.0, 0)], 1e-5) == pytest.approx(4e-5)


def test_one_bit_is_enough_for_isolation_to_be_stated() -> None:
    assert isolation([finding(0.0, 1)], 0.0) > 0


@pytest.mark.parametrize("error", [1e-3, np.inf, np.nan])
def test_large_differences_are_refused(error: float) -> None:
    with pytest.raises(WrapError, match="not independent"):
        isolation([finding(0.0, 0), finding(error, 1)], 0.0)


def test_the_tolerance_covers_padding_and_company() -> None:
    assert tolerance([finding(0.0, 0)], 0.0) == 1e-5
    assert tolerance([finding(0.0, 0, 5e-5), finding(0.0, 0, None)], 0.0) == pytest.approx(2e-4)
    assert tolerance([finding(0.0, 0)], 1e-3) == 1e-3


def test_what_verify_finds_afterwards_widens_isolation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stated = []

    def strict(bundle: Bundle, session: Session, tokens: int) -> int:
        stated.append(session.isolation)
        if len(stated) < 3:
            raise BundleError("answers depend on company")
        return 1

    monkeypatch.setattr(wrapping_module, "check_company", strict)
    bundle = wrapped(tmp_path, padded_models.masked_mean())
    assert stated[0] < stated[1] < stated[2] == bundle.manifest.isolation
    proof = json.loads((bundle.folder / "verification.json").read_text())
    assert proof["isolation"] == bundle.manifest.isolation


def test_a_bundle_that_never_passes_verify_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise BundleError("answers depend on company")

    monkeypatch.setattr(wrapping_module, "check_company", never)
    with pytest.raises(WrapError, match="what else is in a pack"):
        wrapped(tmp_path, padded_models.masked_mean())
    assert left(tmp_path) == []


def test_a_session_that_serves_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference pads for itself: what serves is not asked."""
    real = Session.run

    def shifted(self: Session, pack: Pack, slice_tokens: int | None = None) -> dict[str, Array]:
        return {k: np.roll(v, 1, axis=0) for k, v in real(self, pack, slice_tokens).items()}

    monkeypatch.setattr(Session, "run", shifted)
    with pytest.raises(WrapError, match="changes an answer"):
        wrapped(tmp_path, padded_models.masked_mean())
    assert left(tmp_path) == []
