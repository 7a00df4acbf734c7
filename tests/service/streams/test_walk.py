"""A sequence gives the same bits in pieces, over all its passes, as in one run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from export.bundle import export
from export.cases import QUICK
from service.bundle import Bundle
from service.graph import Options
from service.pack import BLOCK, Array, Pack
from service.session import Session
from service.stages import Feeds
from service.streams.walk import columns_of
from tests.conftest import CONFIGS, SHIPPED
from tests.export.architectures import made
from tests.service.streams.cuts import cuts, draw

LENGTHS = [1, 15, 16, 17, 161, 199]
SIZES = [[BLOCK], [BLOCK, 5 * BLOCK, 2 * BLOCK], [10_000]]
EVERY_COLUMN = ("performer", "linformer")  # of any kind, positions, context
ROOT = Path("build/bundles")


def walked(session: Session, pack: Pack, sizes: list[int]) -> dict[str, Array]:
    """All outputs, by passes over pieces."""
    walk = session.walk()
    pieces: list[Feeds] = [
        {name: values[part] for name, values in columns_of(pack).items()}
        for part in cuts(pack.tokens, sizes)
    ]
    walk.given(pack.context, pieces[0] if pieces else {})
    for _ in range(walk.passes):
        found = [walk.run(piece) for piece in pieces]
        pieces = [one.kept for one in found]
        walk.turn()
    outputs = {
        name: np.concatenate([one.outputs[name] for one in found])
        for name in (found[0].outputs if found else {})
    }
    return outputs | walk.finish()


def check_same(session: Session, length: int, sizes: list[int]) -> None:
    pack = draw(session.manifest, max(length, session.manifest.min_length))
    found, wanted = walked(session, pack, sizes), session.run(pack)
    for name, rows in wanted.items():
        if len(rows):
            np.testing.assert_array_equal(found[name], rows, strict=True)


@pytest.fixture(scope="module")
def made_ones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    for name in EVERY_COLUMN:
        export(made(name), root, "1", effort=QUICK)
    return root


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("name", EVERY_COLUMN)
def test_with_columns_of_every_kind(made_ones: Path, name: str, sizes: list[int]) -> None:
    session = Session(Bundle.open(made_ones / name / "1"), Options())
    for length in [0, *LENGTHS]:
        check_same(session, length, sizes)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("name", CONFIGS)
def test_of_small_models(bundles: Path, name: str, sizes: list[int]) -> None:
    session = Session(Bundle.open(bundles / name / "1"), Options())
    for length in [0, *LENGTHS]:
        check_same(session, length, sizes)


def _served() -> Iterator[Path]:
    yield from sorted(SHIPPED.glob("*/1"))
    yield from (ROOT / name / "1" for name in ("reference", "reference-pooled"))


@pytest.mark.parametrize("folder", list(_served()), ids=lambda folder: folder.parent.name)
def test_of_served_models(folder: Path) -> None:
    if not folder.exists():
        pytest.skip("did NOT run: make reference")
    session = Session(Bundle.open(folder), Options())
    for length, sizes in [(5000, [16 * BLOCK, 7 * BLOCK]), (70_001, [512 * BLOCK]), (0, [1])]:
        check_same(session, length, sizes)


def test_positions_and_times_count_from_the_first_token(made_ones: Path) -> None:
    """A walk that began anew with every piece would answer otherwise."""
    session = Session(Bundle.open(made_ones / "performer" / "1"), Options())
    pack = draw(session.manifest, 4 * BLOCK)
    alone = session.run(Pack(
        {name: values[BLOCK:] for name, values in pack.columns.items()},
        np.array([3 * BLOCK]),
        pack.context,
    ))  # fmt: skip
    found = walked(session, pack, [BLOCK])
    assert not np.allclose(found["a"][BLOCK:], alone["a"], rtol=1e-3)
