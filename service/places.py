"""How much of what attention and wrapped models run on is padding. Packed stages have none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Places:
    """In groups of sequences of like length: those that hold a token, and those that hold none."""

    tokens: int = 0
    padding: int = 0

    def count(self, places: int, tokens: int) -> None:
        """One more group of so many places, of which so many hold a token."""
        self.tokens += tokens
        self.padding += places - tokens

    def clear(self) -> None:
        """What there was so far does not count."""
        self.tokens = self.padding = 0
