from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.encoding import deflate, inflate
from service.errors import BadRequest, TooLarge, UnsupportedMedia

BODY = b'{"sequences": [[1, 2, 3]]}' * 40


@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate"]))
def test_what_is_compressed_comes_back(body: bytes, encoding: str) -> None:
    assert inflate(deflate(body, encoding), encoding, 300) == body


def test_the_formats_are_those_of_everybody_else() -> None:
    assert inflate(gzip.compress(BODY), "gzip", 2000) == BODY
    assert inflate(zlib.compress(BODY), "deflate", 2000) == BODY
    assert gzip.decompress(deflate(BODY, "gzip")) == BODY


def test_a_bomb_is_refused_at_the_limit() -> None:
    bomb = zlib.compress(bytes(2**24), 9)
    assert len(bomb) < 2**15
    with pytest.raises(TooLarge, match="inflates to more than the limit of 1000 bytes"):
        inflate(bomb, "deflate", 1000)
    assert len(inflate(bomb, "deflate", 2**24)) == 2**24


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (gzip.compress(BODY)[:-1], "is cut off"),
        (gzip.compress(BODY) + b"x", "goes on after its end"),
        (gzip.compress(BODY) * 2, "goes on after its end"),
        (b"not gzip at all", "not valid gzip"),
        (b"", "is cut off"),
    ],
)
def test_what_is_no_gzip_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        inflate(body, "gzip", 10_000)


def test_other_encodings_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedMedia, match="'br' is not supported; gzip and deflate are"):
        inflate(BODY, "br", 10_000)
