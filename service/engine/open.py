"""The requests that wait or run, and whose they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from service.engine.admission import Load
from service.engine.request import Request


class Open:
    """Of one engine."""

    def __init__(self) -> None:
        self._requests: set[Request] = set()
        self._clients: Counter[str] = Counter()  # how many are open of each

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[Request]:
        return iter(set(self._requests))

    def add(self, request: Request) -> None:
        """One more."""
        self._requests.add(request)
        self._clients[request.client] += 1

    def remove(self, request: Request) -> None:
        """One less."""
        self._requests.discard(request)
        self._clients -= Counter({request.client: 1})  # forgets who has none

    def load(self, client: str) -> Load:
        """As one more of this client's would find it."""
        others = len(self._clients) - (client in self._clients)
        return Load(len(self._requests), self._clients[client], others + 1)
