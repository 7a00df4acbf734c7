"""API keys: who may do what, how many tokens a second, and until when.

The file holds their SHA-256 only. Keys are 256 random bits, so nothing slower is needed to keep
them from being guessed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from service.columns import Name, Sha256, Strict
from service.errors import Forbidden, QueueFull, SettingsError, Unauthorized

Role = Literal["client", "admin"]
BURST_SECONDS = 10.0  # of its rate that a key may use at once, where its entry does not say
INDEX = 8  # bytes of a hash that keys are found by


class Entry(Strict):
    """A key in the file: a table of the name that logs and fair shares know it by.

    role: client keys are for models, admin keys for the repository, neither for both;
    tokens_per_second: of each worker its share, without it there is no limit; expires: the last day
    on which it is good, in UTC.
    """

    sha256: Sha256
    role: Role = "client"
    tokens_per_second: Annotated[float, Field(gt=0)] | None = None
    burst_tokens: Annotated[float, Field(gt=0)] | None = None
    expires: date | None = None

    @model_validator(mode="after")
    def _limited(self) -> Self:
        if self.burst_tokens and not self.tokens_per_second:
            raise ValueError("burst_tokens limits nothing without tokens_per_second")
        return self


class File(Strict):
    """The whole file."""

    keys: dict[Name, Entry] = Field(min_length=1)

    @model_validator(mode="after")
    def _apart(self) -> Self:
        names: dict[str, str] = {}
        for name, entry in self.keys.items():
            if (other := names.setdefault(entry.sha256, name)) != name:
                raise ValueError(f"{other} and {name} have the same key")
        return self


@dataclass(slots=True)
class Key:
    """One that is known, and what is left of its rate."""

    name: str
    entry: Entry
    share: float  # of its rate that is this worker's
    _left: float = field(init=False)
    _since: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._left = self.burst

    @property
    def rate(self) -> float:
        """Tokens a second of this worker; 0: any number."""
        return (self.entry.tokens_per_second or 0.0) * self.share

    @property
    def burst(self) -> float:
        """Tokens that may come at once."""
        said = self.entry.burst_tokens
        return said * self.share if said else self.rate * BURST_SECONDS

    def take(self, tokens: int, now: float) -> None:
        """Use up some of its rate. QueueFull where too little is left, saying when there will be.

        A request larger than the burst is let through when all of it is there, and owes the rest.
        """
        short = min(tokens, self.burst) - self._refilled(now)
        if self.rate and short > 0:
            allowed = f"{self.entry.tokens_per_second:g} tokens per second are allowed"
            what = f"key {self.name!r} has used up its rate: {allowed}"
            raise QueueFull(what, short / self.rate, "rate")
        self._left -= tokens

    def use(self, tokens: int, now: float) -> float:
        """Use up some of its rate, there or not; seconds until it owes nothing."""
        if not self.rate:
            return 0.0
        self._left = self._refilled(now) - tokens
        return max(0.0, -self._left / self.rate)

    def _refilled(self, now: float) -> float:
        since = now if self._since is None else self._since
        self._left, self._since = min(self.burst, self._left + (now - since) * self.rate), now
        return self._left


class Keys:
    """All keys of a file."""

    def __init__(
        self,
        entries: Mapping[str, Entry],
        workers: int = 1,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        """workers: that share each key's rate."""
        self._today = today
        self._keys: dict[bytes, Key] = {}
        for name, entry in entries.items():
            hashed = bytes.fromhex(entry.sha256)
            self._keys[hashed[:INDEX]] = Key(name, entry, 1 / workers)
        self.administered = any(entry.role == "admin" for entry in entries.values())

    def check(self, shown: str | None, role: Role) -> Key:
        """The key that was shown, if it is good for that. Raises Unauthorized or Forbidden."""
        if not shown:
            raise Unauthorized("this server wants a key: Authorization: Bearer <key>")
        hashed = hashlib.sha256(shown.encode()).digest()
        key = self._keys.get(hashed[:INDEX])
        wanted = bytes.fromhex(key.entry.sha256) if key else bytes(len(hashed))
        if not hmac.compare_digest(hashed, wanted) or key is None:
            raise Unauthorized("the key is not known here")
        if key.entry.expires and self._today() > key.entry.expires:
            raise Unauthorized(f"key {key.name!r} expired on {key.entry.expires}")
        if key.entry.role != role:
            raise Forbidden(f"key {key.name!r} is one for {key.entry.role}s; this is for {role}s")
        return key


def load_keys(path: Path) -> Keys:
    """The keys of a TOML file, for a lone worker. SettingsError names what is wrong with it."""
    return Keys(read_entries(path))


def read_entries(path: Path) -> dict[str, Entry]:
    """What a TOML file of keys says. SettingsError names what is wrong with it."""
    try:
        text = path.read_text()
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from error
    return _parsed(text, str(path))


def _parsed(text: str, where: str) -> dict[str, Entry]:
    try:
        return File.model_validate({"keys": tomllib.loads(text)}).keys
    except ValidationError as error:
        first = error.errors()[0]
        what = ".".join(map(str, first["loc"][1:]))
        said = first["msg"].removeprefix("Value error, ")
        raise SettingsError(": ".join(part for part in (where, what, said) if part)) from error
    except ValueError as error:
        raise SettingsError(f"{where}: {error}") from error


def entry_text(
    name: str, hashed: str, role: Role, tokens_per_second: float | None, expires: str | None
) -> str:
    """A key's table for the file. SettingsError says what is wrong with it."""
    said = {"sha256": hashed, "role": role}
    numbers = {"tokens_per_second": tokens_per_second, "expires": expires}
    header = json.dumps(name) if "." in name else name  # a dot would make tables of it
    lines = [f"[{header}]", *(f'{what} = "{value}"' for what, value in said.items())]
    lines += [f"{what} = {value}" for what, value in numbers.items() if value is not None]
    text = "\n".join([*lines, ""])
    _parsed(text, "the new entry")
    return text


def new_key() -> tuple[str, str]:
    """A key, and the SHA-256 that goes into the file."""
    key = secrets.token_urlsafe(32)
    return key, hashlib.sha256(key.encode()).hexdigest()
