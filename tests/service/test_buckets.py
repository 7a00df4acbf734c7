from __future__ import annotations

import numpy as np

from service.buckets import padded_lengths
from service.pack import BLOCK

LENGTHS = np.arange(0, 5000)


def test_padded_lengths_are_whole_blocks_and_hold_the_sequence() -> None:
    padded = padded_lengths(LENGTHS)
    assert not (padded % BLOCK).any()
    assert (padded >= LENGTHS).all()


def test_little_is_padded() -> None:
    waste = padded_lengths(LENGTHS) - LENGTHS
    assert (waste < np.maximum(BLOCK, LENGTHS / 8)).all()


def test_there_are_few_padded_lengths() -> None:
    assert len(np.unique(padded_lengths(LENGTHS))) < 60


def test_a_length_is_padded_alike_in_any_company() -> None:
    alone = [padded_lengths(np.array([n]))[0] for n in LENGTHS]
    np.testing.assert_array_equal(padded_lengths(LENGTHS), alone)


def test_nothing_stays_nothing() -> None:
    assert padded_lengths(np.array([0, 1])).tolist() == [0, BLOCK]
