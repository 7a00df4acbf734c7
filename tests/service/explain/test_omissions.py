"""A token that is taken away from sums is as if it had never been there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.bundle import Bundle
from service.explain import omissions as module
from service.explain.omissions import Omissions
from service.graph import Options
from service.pack import Pack
from service.session import Session
from tests.conftest import SHIPPED
from tests.service.explain.models import check_close, sequences, shorter

LENGTHS = [0, 1, 2, 17, 200]
NAMES = ["pooled", "mixed"]


def session_of(folder: Path) -> Session:
    return Session(Bundle.open(folder / "1"), Options())


def worked(session: Session, pack: Pack, most: int = 1024) -> Omissions:
    """All is known."""
    found = session.omissions(pack, most)
    assert found is not None
    for _ in found.work():
        pass
    assert found.left == 0
    return found


def check_all(session: Session, pack: Pack, found: Omissions) -> None:
    """Against predictions of every sequence whole, and without each of its tokens."""
    whole = session.run(pack)
    for output in session.manifest.outputs:
        if output.per == "token":
            assert output.name not in found.outputs
            continue
        check_close(found.outputs[output.name], whole[output.name])
        rows = pack.split(found.without[output.name]) if pack.tokens else []
        for i, own in enumerate(rows):
            alone = pack.part(i, i + 1)
            runs = [session.run(shorter(alone, token)) for token in range(len(own))]
            if runs:
                check_close(own, np.concatenate([run[output.name] for run in runs]))


@pytest.mark.parametrize("name", NAMES)
def test_of_sequences_of_all_lengths(explainable: Path, name: str) -> None:
    session = session_of(explainable / name)
    pack = sequences(session.manifest, [*LENGTHS, 1, 0])
    check_all(session, pack, worked(session, pack))


@pytest.mark.parametrize("name", NAMES)
def test_of_any_sequences_in_bits_of_any_size(explainable: Path, name: str) -> None:
    session = session_of(explainable / name)

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(st.sampled_from([0, 1, 2, 3, 17, 40]), min_size=1, max_size=6),
        st.integers(1, 50),
        st.integers(0, 1000),
    )
    def check(lengths: list[int], most: int, seed: int) -> None:
        pack = sequences(session.manifest, lengths, seed)
        check_all(session, pack, worked(session, pack, most))

    check()
    assert session.omissions(sequences(session.manifest, [3]), 1) is not None


def test_of_the_shipped_pooled_model() -> None:
    session = session_of(SHIPPED / "digit_sum")
    pack = sequences(session.manifest, LENGTHS)
    check_all(session, pack, worked(session, pack))


def test_contributions_that_are_too_many_to_keep_are_computed_again(
    explainable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = session_of(explainable / "mixed")
    pack = sequences(session.manifest, [200, 3, 17])
    kept = worked(session, pack, 50)
    monkeypatch.setattr(module, "KEPT_BYTES", 4 * 14 * 40)
    again = worked(session, pack, 50)
    for name, rows in kept.without.items():
        np.testing.assert_array_equal(again.without[name], rows)
        np.testing.assert_array_equal(again.outputs[name], kept.outputs[name])


def test_a_token_that_outweighs_all_others_leaves_them_exact(explainable: Path) -> None:
    """In float32 the sum of all would have swallowed them."""
    session = session_of(explainable / "pooled")
    pack = sequences(session.manifest, [50])
    pack.columns["x"][20] *= 1e6
    check_all(session, pack, worked(session, pack))
    found = worked(session, pack).without["y"][20]
    check_close(found[None], session.run(shorter(pack, 20))["y"])


def test_a_graph_of_blocks_of_a_fixed_size_gives_the_same_bits(
    explainable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = session_of(explainable / "mixed")
    pack = sequences(session.manifest, [70, 2])
    assert isinstance(session.graphs[0].shapes["rows"][1], str), "exported for any width"
    narrow = worked(session, pack)
    monkeypatch.setitem(session.graphs[0].shapes, "rows", ["blocks", 16])
    wide = worked(session, pack)
    for name, rows in narrow.without.items():
        np.testing.assert_array_equal(wide.without[name], rows)


@pytest.mark.parametrize("name", ["stack", "plain", "mixed-timed"])
def test_models_whose_tokens_know_of_each_other_have_none(explainable: Path, name: str) -> None:
    session = session_of(explainable / name)
    assert session.omissions(sequences(session.manifest, [3]), 10) is None
