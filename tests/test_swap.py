"""A real server of two workers: versions are swapped and rolled back while 32 clients ask."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from benchmarks.process import ServerProcess
from tests.service.repository.folders import add_version

CLIENTS, SECONDS = 32, 0.4
ADMIN = {"Authorization": "Bearer master"}
BODY = {"sequences": [[[0.5, 0.25, 1.0]] * 40]}


@pytest.fixture
def root(bundles: Path, tmp_path: Path) -> Path:
    add_version(bundles, tmp_path / "models", "plain", "1")
    return tmp_path / "models"


@pytest.fixture
def swapping(root: Path, tmp_path: Path) -> Iterator[ServerProcess]:
    hashed = {key: hashlib.sha256(key.encode()).hexdigest() for key in ("master", "secret")}
    keys = tmp_path / "keys.toml"
    keys.write_text(
        f'[ops]\nsha256 = "{hashed["master"]}"\nrole = "admin"\n'
        f'[team]\nsha256 = "{hashed["secret"]}"\n'
    )
    with ServerProcess(root, keys=keys, workers=2, grace_seconds=0) as process:
        yield process


class Clients:
    """They ask for the default version all the time; what they were answered."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self.failed: list[str] = []
        self.by: Counter[str] = Counter()

    async def ask(self) -> None:
        own = {"Authorization": "Bearer secret"}
        while True:
            answer = await self._http.post("/v1/models/plain/predict", json=BODY, headers=own)
            if answer.status_code == 200:
                self.by[answer.json()["version"]] += 1
            else:
                self.failed.append(answer.text)

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self.ask()) for _ in range(CLIENTS)]
        try:
            await asyncio.sleep(SECONDS)
            yield
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            self.failed += [repr(e) for e in ended if not isinstance(e, asyncio.CancelledError)]

    async def change(self, what: str, **parameters: str) -> None:
        path, body = f"/v2/repository/models/plain/{what}", {"parameters": parameters}
        answer = await self._http.post(path, json=body, headers=ADMIN)
        assert answer.status_code == 200, answer.text

    async def versions_of_a_while(self) -> set[str]:
        """Those that answer now; requests that were on their way are not counted."""
        await asyncio.sleep(0.1)
        before = self.by.copy()
        await asyncio.sleep(SECONDS)
        return {version for version, count in self.by.items() if count > before[version]}


def test_a_swap_and_a_rollback_fail_no_request(
    bundles: Path, root: Path, swapping: ServerProcess
) -> None:
    async def body() -> Clients:
        limits = httpx.Limits(max_connections=CLIENTS + 4, max_keepalive_connections=CLIENTS + 4)
        async with httpx.AsyncClient(base_url=swapping.url, timeout=30, limits=limits) as http:
            clients = Clients(http)
            async with asyncio.timeout(60), clients.asking():
                assert await clients.versions_of_a_while() == {"1"}
                await asyncio.to_thread(add_version, bundles, root, "plain", "2")
                await clients.change("load", version="2")
                assert await clients.versions_of_a_while() == {"2"}
                await clients.change("unload", version="2")
                assert await clients.versions_of_a_while() == {"1"}
                await clients.change("load")
                assert await clients.versions_of_a_while() == {"2"}
            return clients

    clients = asyncio.run(body())
    assert clients.failed == []
    assert sum(clients.by.values()) > CLIENTS


def test_the_last_version_is_unloaded_under_load_and_then_it_is_not_found(
    swapping: ServerProcess,
) -> None:
    async def body() -> Clients:
        async with httpx.AsyncClient(base_url=swapping.url, timeout=30) as http:
            clients = Clients(http)
            async with asyncio.timeout(60), clients.asking():
                assert clients.failed == []
                await clients.change("unload")
                assert await clients.versions_of_a_while() == set()
            return clients

    clients = asyncio.run(body())
    assert clients.failed
    assert all("unknown model 'plain'" in message for message in clients.failed)
    assert httpx.get(f"{swapping.url}/v2/health/ready").status_code == 200
