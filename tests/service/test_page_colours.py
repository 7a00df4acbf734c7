"""The page's colours, as its tokens have them, in both schemes: can they be read?

Contrast as WCAG 2.2 defines it; AA wants 4.5 for text and 3 for what controls and charts are of.
"""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

TOKENS = (ROOT / "service" / "page" / "tokens.css").read_text()
TEXT = [
    *((ink, ground) for ink in ("ink", "muted") for ground in ("paper", "surface", "sunken")),
    *((ink, ground) for ink in ("accent", "good", "bad") for ground in ("paper", "surface")),
    ("on-accent", "accent"),
    ("ink", "soft"),
]
SHAPES = [
    *((shape, "surface") for shape in ("edge", "accent", "second", "for", "against")),
    *((shape, "paper") for shape in ("edge", "accent")),
    ("edge", "sunken"),
    ("accent", "sunken"),
]


def scheme(name: str) -> dict[str, str]:
    """A scheme's colours; the dark one has those of the light one that it does not name."""
    light, dark = TOKENS.split("@media (prefers-color-scheme: dark)")
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    return found | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", dark if name == "dark" else ""))


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb. Source: WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_black_on_white_has_the_largest_contrast_there_is() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("name", ["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), TEXT)
def test_text_can_be_read(name: str, ink: str, ground: str) -> None:
    colours = scheme(name)
    assert contrast(colours[ink], colours[ground]) >= 4.5


@pytest.mark.parametrize("name", ["light", "dark"])
@pytest.mark.parametrize(("shape", "ground"), SHAPES)
def test_controls_and_charts_can_be_told_from_their_ground(
    name: str, shape: str, ground: str
) -> None:
    colours = scheme(name)
    assert contrast(colours[shape], colours[ground]) >= 3


def test_the_dark_scheme_has_a_colour_for_each_of_the_light_one() -> None:
    light, dark = scheme("light"), scheme("dark")
    assert light.keys() == dark.keys()
    assert not light.items() & dark.items()
