from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from export.verification import VerificationError, Verifier, cases
from models.signature import Signature
from service.bundle import Bundle
from service.pack import Array, Pack
from service.session import Options, Session
from tests.conftest import CONFIGS, small_checkpoint


class Tampered(Session):
    """A session whose answers are changed on their way out."""

    def __init__(self, bundle: Bundle, change: Callable[[Pack, Array], Array]) -> None:
        super().__init__(bundle, Options())
        self._change = change

    def run(self, pack: Pack) -> dict[str, Array]:
        return {name: self._change(pack, rows) for name, rows in super().run(pack).items()}


def racing(pack: Pack, rows: Array) -> Array:
    """Wrong now and then, as a racing kernel is: never twice the same."""
    changed: Array = rows + 1e-2 * np.random.default_rng().normal(size=rows.shape)
    return changed


def leaking(pack: Pack, rows: Array) -> Array:
    """Every sequence feels how many others there are."""
    changed: Array = rows * (1 + 1e-3 * (len(pack.lengths) - 1))
    return changed


def ordered(pack: Pack, rows: Array) -> Array:
    """Outputs depend on the place in the sequence."""
    ends = np.cumsum(pack.lengths)
    place = np.arange(len(rows)) - np.repeat(ends - pack.lengths, pack.lengths)
    changed: Array = rows + 1e-3 * place[:, None]
    return changed


@pytest.mark.parametrize("change", [racing, leaking, ordered])
def test_every_kind_of_wrong_session_is_caught(
    plain: Bundle, change: Callable[[Pack, Array], Array]
) -> None:
    verifier = Verifier(small_checkpoint("plain").model, Tampered(plain, change))
    with pytest.raises(VerificationError, match="verification failed"):
        verifier.run()


@pytest.mark.parametrize(
    ("change", "field"),
    [(racing, "repeat_error"), (ordered, "permutation_error")],
)
def test_each_property_has_a_figure_of_its_own(
    plain: Bundle, change: Callable[[Pack, Array], Array], field: str
) -> None:
    model = small_checkpoint("plain").model
    wrong = Verifier(model, Tampered(plain, change)).check("case", [3, 20, 40])
    right = Verifier(model, Session(plain, Options())).check("case", [3, 20, 40])
    assert getattr(wrong, field) > 1e-4
    assert getattr(right, field) < 1e-5
    assert not wrong.holds(1e-5)
    assert right.holds(1e-5)


def test_a_last_bit_that_neighbours_change_is_enough(plain: Bundle) -> None:
    def nudge(pack: Pack, rows: Array) -> Array:
        """One bit of the first row, when there is company."""
        changed: Array = rows.copy()
        changed[:1] = np.nextafter(
            rows[:1], np.float32(np.inf) if len(pack.lengths) > 1 else rows[:1]
        )
        return changed

    verifier = Verifier(small_checkpoint("plain").model, Tampered(plain, nudge))
    finding = verifier.check("case", [3, 20, 40])
    assert finding.worst() < 1e-5
    assert (finding.alone, finding.alone_equal) == (3, 2)
    assert not finding.holds(1e-5)


def test_nan_is_never_within_tolerance(plain: Bundle) -> None:
    session = Tampered(plain, lambda _, rows: rows * np.nan)
    with pytest.raises(VerificationError):
        Verifier(small_checkpoint("plain").model, session).run()


@pytest.mark.parametrize(("least", "most"), [(3, 3), (128, 128), (0, 1), (300_000, None)])
def test_there_are_cases_for_any_range_of_lengths(least: int, most: int | None) -> None:
    values = {**CONFIGS["plain"].signature.model_dump(), "min_length": least, "max_length": most}
    found = cases(Signature.model_validate(values))
    assert len(found) >= 7
    for lengths in found.values():
        assert lengths
        assert all(least <= n <= (most or 10**9) for n in lengths)
        assert sum(lengths) <= 400_000 or len(lengths) == 1


@pytest.mark.parametrize("name", CONFIGS)
def test_cases_keep_to_the_lengths_the_model_allows(name: str) -> None:
    shape = CONFIGS[name].signature
    for lengths in cases(shape).values():
        assert min(lengths) >= shape.min_length
        assert shape.max_length is None or max(lengths) <= shape.max_length


def test_the_bundle_folder_is_not_written_by_verifying(plain: Bundle) -> None:
    before = {p: p.stat().st_mtime_ns for p in Path(plain.folder).iterdir()}
    Verifier(small_checkpoint("plain").model, Session(plain, Options())).check("case", [3])
    assert {p: p.stat().st_mtime_ns for p in Path(plain.folder).iterdir()} == before
