from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from export.cases import FULL, QUICK, Case, Effort, cases
from export.draw import usual
from export.verification import KINDS, Finding, VerificationError, Verifier
from models.signature import Signature
from service.bundle import Bundle
from service.graph import Options
from service.pack import Array, Pack
from service.session import Session
from tests.conftest import CONFIGS, small_checkpoint

LEAST = Effort(longest=500, sequences=20, race_tokens=500, repetitions=3)
Change = Callable[[Pack, Array], Array]


class Tampered(Session):
    """A session whose answers are changed on their way out."""

    def __init__(self, bundle: Bundle, change: Change) -> None:
        super().__init__(bundle, Options())
        self._change = change

    def run(self, pack: Pack, slice_tokens: int | None = None) -> dict[str, Array]:
        found = super().run(pack, slice_tokens)
        return {name: self._change(pack, rows) for name, rows in found.items()}


def racing(pack: Pack, rows: Array) -> Array:
    """Wrong now and then, as a racing kernel is: never twice the same."""
    changed: Array = rows + 1e-7 * np.random.default_rng().normal(size=rows.shape)
    return changed.astype(np.float32)


def leaking(pack: Pack, rows: Array) -> Array:
    """Every sequence feels how many others there are."""
    changed: Array = rows * np.float32(1 + 1e-6 * (len(pack.lengths) - 1))
    return changed


def ordered(pack: Pack, rows: Array) -> Array:
    """Outputs depend on the place in the sequence."""
    place = np.arange(len(rows)) - np.repeat(pack.starts, pack.lengths)
    changed: Array = rows + np.float32(1e-3) * place[:, None].astype(np.float32)
    return changed


def tampered(bundle: Bundle, change: Change) -> Verifier:
    return Verifier(small_checkpoint("plain").model, Tampered(bundle, change), LEAST)


def found(verifier: Verifier) -> Finding:
    lengths = [3, 20, 40]
    pack = usual(small_checkpoint("plain").model, lengths, np.random.default_rng(0))
    return verifier.check(Case("mine", lengths, repetitions=3), pack)


@pytest.mark.parametrize("change", [racing, leaking, ordered, lambda _, rows: rows * np.nan])
def test_every_kind_of_wrong_session_is_caught(plain: Bundle, change: Change) -> None:
    with pytest.raises(VerificationError, match="verification failed"):
        list(tampered(plain, change).run())


def test_what_neighbours_or_races_change_is_counted_even_below_the_tolerance(plain: Bundle) -> None:
    for change in (racing, leaking):
        wrong = found(tampered(plain, change))
        assert wrong.error <= wrong.allowed
        assert 0 < wrong.different <= wrong.tried
        assert not wrong.holds()


def test_the_order_of_tokens_has_a_figure_of_its_own(plain: Bundle) -> None:
    wrong, right = found(tampered(plain, ordered)), found(tampered(plain, lambda _, rows: rows))
    assert (wrong.permutation_error or 0) > 1e-4 > (right.permutation_error or 0)
    assert right.holds()


def test_one_bit_that_neighbours_change_is_enough(plain: Bundle) -> None:
    def nudge(pack: Pack, rows: Array) -> Array:
        """One bit of the first row, when there is company."""
        changed: Array = rows.copy()
        if len(pack.lengths) > 1:
            changed[:1] = np.nextafter(rows[:1], np.float32(np.inf))
        return changed

    finding = found(tampered(plain, nudge))
    assert finding.error < 1e-5
    assert finding.different == 1
    assert not finding.holds()


def test_unusual_values_are_verified_too(plain: Bundle) -> None:
    findings = list(tampered(plain, lambda _, rows: rows).run())
    assert {f"{kind} values" for kind in KINDS} <= {finding.case for finding in findings}


@pytest.mark.parametrize(("least", "most"), [(3, 3), (128, 128), (0, 1), (300_000, None)])
@pytest.mark.parametrize("effort", [FULL, QUICK])
def test_there_are_cases_for_any_range_of_lengths(
    least: int, most: int | None, effort: Effort
) -> None:
    values = {**CONFIGS["plain"].signature.model_dump(), "min_length": least, "max_length": most}
    for case in cases(Signature.model_validate(values), effort):
        assert case.lengths
        assert all(least <= n <= (most or 10**9) for n in case.lengths)
        assert sum(case.lengths) <= 2 * effort.longest or len(case.lengths) == 1


def test_cases_reach_what_is_asked_for() -> None:
    found = {case.name: case for case in cases(CONFIGS["plain"].signature, FULL)}
    assert found["one of 1,000,000"].lengths == [1_000_000]
    assert found["one of 0"].lengths == [0]
    assert len(found["many of one token"].lengths) == 4096
    assert (found["races"].lengths, found["races"].repetitions) == ([131_072], 20)


def test_the_bundle_folder_is_not_written_by_verifying(plain: Bundle) -> None:
    before = {p: p.stat().st_mtime_ns for p in Path(plain.folder).iterdir()}
    found(tampered(plain, lambda _, rows: rows))
    assert {p: p.stat().st_mtime_ns for p in Path(plain.folder).iterdir()} == before
