from __future__ import annotations

import hashlib
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.errors import Forbidden, QueueFull, SettingsError, Unauthorized
from service.keys import Entry, Key, Keys, load_keys, new_key

TODAY = date(2026, 5, 17)


def entry(key: str, **fields: Any) -> Entry:
    return Entry(sha256=hashlib.sha256(key.encode()).hexdigest(), **fields)


KEYS = Keys(
    {
        "team": entry("secret"),
        "ops": entry("master", role="admin"),
        "old": entry("once", expires=date(2026, 5, 16)),
        "last": entry("today", expires=TODAY),
    },
    today=lambda: TODAY,
)


def test_a_key_is_known_by_its_hash_and_good_for_its_role() -> None:
    assert KEYS.check("secret", "client").name == "team"
    assert KEYS.check("master", "admin").name == "ops"
    assert KEYS.check("today", "client").name == "last"
    assert KEYS.administered
    assert not Keys({"team": entry("secret")}).administered


@pytest.mark.parametrize("shown", [None, "", "Secret", "secret ", "x" * 10_000, "\u20ac", "\x00"])
def test_no_other_key_is_known(shown: str | None) -> None:
    with pytest.raises(Unauthorized, match="wants a key" if not shown else "not known"):
        KEYS.check(shown, "client")


def test_a_key_is_of_no_use_after_its_last_day_nor_for_another_role() -> None:
    with pytest.raises(Unauthorized, match="'old' expired on 2026-05-16"):
        KEYS.check("once", "client")
    with pytest.raises(Forbidden, match="'team' is one for clients; this is for admins"):
        KEYS.check("secret", "admin")
    with pytest.raises(Forbidden, match="'ops' is one for admins; this is for clients"):
        KEYS.check("master", "client")


@pytest.mark.parametrize("zone", ["UTC", "EAST-14", "WEST+12"])
def test_days_are_those_of_utc_wherever_the_server_is(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        today = datetime.now(UTC).date()
        days = {"new": today, "old": today - timedelta(days=1)}
        known = Keys({name: entry(name, expires=day) for name, day in days.items()})
        assert known.check("new", "client").name == "new"
        with pytest.raises(Unauthorized, match="expired"):
            known.check("old", "client")
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_rate_is_used_up_and_comes_back() -> None:
    key = Key("team", entry("secret", tokens_per_second=100, burst_tokens=300), share=1.0)
    key.take(200, now=10.0)
    key.take(100, now=10.0)
    with pytest.raises(QueueFull, match="'team' has used up its rate: 100 tokens per second") as e:
        key.take(150, now=10.0)
    assert e.value.headers["Retry-After"] == "2"
    key.take(150, now=11.5)
    with pytest.raises(QueueFull):
        key.take(1, now=11.5)
    key.take(300, now=100.0)


def test_a_request_above_the_burst_waits_for_all_of_it_and_owes_the_rest() -> None:
    key = Key("team", entry("secret", tokens_per_second=100, burst_tokens=300), share=1.0)
    key.take(1000, now=0.0)
    with pytest.raises(QueueFull) as caught:
        key.take(50, now=1.0)
    assert caught.value.headers["Retry-After"] == "7"
    key.take(50, now=8.0)


def test_workers_share_a_rate() -> None:
    (key,) = Keys({"team": entry("secret", tokens_per_second=100)}, workers=4)._keys.values()
    assert (key.rate, key.burst) == (25, 250)


def test_a_key_without_a_rate_may_send_any_number() -> None:
    key = Key("team", entry("secret"), share=1.0)
    for _ in range(3):
        key.take(10**12, now=0.0)
    assert key.rate == 0


def test_the_file_is_read_and_whatever_is_wrong_in_it_is_named(tmp_path: Path) -> None:
    key, hashed = new_key()
    path = tmp_path / "keys.toml"
    path.write_text(f'[team-a]\nsha256 = "{hashed}"\nexpires = 2999-01-01\n')
    assert load_keys(path).check(key, "client").name == "team-a"
    assert len(key) >= 43
    assert new_key()[0] != key
    for text, message in {
        "[team]\nsha256 = 'x'": "team.sha256: String should match",
        f"[team]\nsha256 = '{hashed}'\nrole = 'root'": "team.role: Input should be",
        f"[team]\nsha256 = '{hashed}'\ncolour = 1": "team.colour: Extra inputs",
        f"['a b']\nsha256 = '{hashed}'": "a b.*String should match",
        f"[a]\nsha256 = '{hashed}'\n[b]\nsha256 = '{hashed}'": "a and b have the same key",
        f"[a]\nsha256 = '{hashed}'\nburst_tokens = 9": "a: burst_tokens limits nothing without",
        "": "at least 1 item",
        "[": "Invalid|Expected|Unexpected|Illegal",
    }.items():
        path.write_text(text)
        with pytest.raises(SettingsError, match=rf"keys\.toml: .*({message})"):
            load_keys(path)
    with pytest.raises(SettingsError, match="No such file"):
        load_keys(tmp_path / "none.toml")


def test_what_comes_bit_by_bit_may_be_owed_and_says_how_long_to_wait() -> None:
    key = Key("team", entry("secret", tokens_per_second=100, burst_tokens=300), share=1.0)
    assert key.use(250, now=0.0) == 0
    assert key.use(250, now=0.0) == 2
    assert key.use(0, now=1.5) == 0.5
    with pytest.raises(QueueFull):
        key.take(0, now=1.5)
    key.take(0, now=2.0)
    assert Key("free", entry("secret"), share=1.0).use(10**9, now=0.0) == 0
