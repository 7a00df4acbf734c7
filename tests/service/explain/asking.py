"""Requests for explanations in JSON, and what is in their answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from service.application import Service
from service.manifest import Manifest
from service.pack import Array, Pack
from tests.service.client import Client
from tests.service.explain.models import shorter


def manifest_of(service: Service, name: str) -> Manifest:
    return service.catalog.find(name).manifest


def path_of(name: str, what: str = "explain") -> str:
    return f"/v1/models/{name}/{what}"


def body_of(pack: Pack) -> dict[str, Any]:
    """As JSON."""
    found: list[Any] = []
    for i in range(len(pack.lengths)):
        one = pack.part(i, i + 1)
        columns = {name: rows.tolist() for name, rows in one.columns.items()}
        context = {name: rows[0].tolist() for name, rows in one.context.items()}
        plain = len(columns) == 1 and not context
        found.append(next(iter(columns.values())) if plain else columns | context)
    return {"sequences": found}


def posted(client: Client, name: str, pack: Pack, what: str = "explain") -> Any:
    """The answer, which is one."""
    answer = client.post(path_of(name, what), json=body_of(pack))
    assert answer.status_code == 200, answer.text
    return answer.json()


def of(output: str, rows: list[Any]) -> list[Array]:
    """An output of each sequence; of a model's only one there are no names."""
    return [np.asarray(own[output] if isinstance(own, dict) else own, np.float64) for own in rows]


def by_force(client: Client, manifest: Manifest, pack: Pack, output: str, what: str) -> list[Array]:
    """What every token changes in each sequence, by predictions without it."""
    found = []
    for i in range(len(pack.lengths)):
        one = pack.part(i, i + 1)
        every = Pack.join([one, *(shorter(one, token) for token in range(one.tokens))])
        whole, *others = of(output, posted(client, manifest.name, every, "predict")[what])
        found.append(np.array([whole - without for without in others]))
    return found


def largest_difference(found: list[Array], wanted: list[Array]) -> float:
    """Of the changes of some sequences."""
    assert [len(own) for own in found] == [len(own) for own in wanted]
    pairs = zip(found, wanted, strict=True)
    return max(float(np.abs(one - other).max()) for one, other in pairs if len(one))
