from __future__ import annotations

import pytest

from experiments.scaling import DENSE, LAYERS, exponent, fitted, measured


def test_exponent_of_a_power_is_its_power() -> None:
    assert exponent({n: 3e-7 * n**1.5 for n in (256, 1024, 8192)}) == pytest.approx(1.5)


def test_only_long_sequences_count_where_there_are_any() -> None:
    flat_then_linear = {n: float(max(n, 4096)) for n in (256, 1024, 4096, 16384, 65536)}
    assert fitted(flat_then_linear, "performer") == pytest.approx(1)
    assert fitted({256: 1.0, 1024: 2.0}, "performer") == pytest.approx(0.5)


def test_the_dense_layer_is_measured_to_8192_only() -> None:
    assert DENSE in measured(8192)
    assert measured(16384) == [name for name in LAYERS if name != DENSE]
