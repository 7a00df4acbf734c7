from __future__ import annotations

import pytest

from service.negotiation import preferred


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("", None),
        ("gzip", "gzip"),
        ("deflate, gzip", "deflate"),
        ("br, GZIP;q=0.5", "gzip"),
        ("deflate;q=0.2, gzip;q=0.8", "gzip"),
        ("gzip;q=0, deflate", "deflate"),
        ("gzip; q=0.0", None),
        ("gzip;q=much", "gzip"),
        ("identity", None),
        ("*", None),
        (";,;q=,gzip;;", "gzip"),
    ],
)
def test_the_largest_weight_of_what_is_offered_wins(header: str, wanted: str | None) -> None:
    assert preferred(header, ("gzip", "deflate")) == wanted
