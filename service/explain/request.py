"""An explanation from its request to its response. Its wires are those of predictions."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from fastapi import Request
from starlette.responses import Response

from service import tracing
from service.access import note_model
from service.answering import owned
from service.application import Service
from service.asking import client
from service.body import Held
from service.catalog import Served
from service.errors import ServiceError
from service.explain.answer import as_arrow, as_json
from service.explain.found import Changes, Found
from service.explain.pooled import Pooled
from service.explain.reruns import Reruns
from service.explain.subject import check_runs, check_shorter, explained
from service.gate import KEY
from service.manifest import Output
from service.negotiation import preferred
from service.pack import Pack
from service.prediction import LARGE_BYTES, allowed, call, compressed, count, while_there
from service.statistics import Timing
from service.wires.exchange import ARROW, JSON, WRITERS, Exchange, Reply, predict


async def explain(
    service: Service, request: Request, name: str, version: str | None = None
) -> Response:
    """Receive, decode, run, encode; counted as a prediction is."""
    started = time.perf_counter()
    with ExitStack() as stack:
        held = stack.enter_context(service.bodies.holding())
        body = await service.bodies.receive(request, held)
        tracing.part(request.scope, "receive", started, time.perf_counter())
        with service.catalog.find(name, version) as served:
            note_model(request.scope, served.manifest)
            try:
                response = await Asked(service, request, served, held).answered(body)
            except ServiceError:
                service.statistics.failed(served.id, time.perf_counter() - started)
                raise
        return owned(response, held, stack, service.settings.body_seconds)


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, for what. held: their bytes in flight."""

    service: Service
    request: Request
    served: Served
    held: Held

    async def answered(self, body: bytes | bytearray) -> Response:
        """Raises ServiceErrors."""
        manifest, headers = self.served.manifest, self.request.headers
        begun = time.perf_counter()
        about = body, headers, manifest, self.service.limits
        exchange = await call(self.service, len(body) > LARGE_BYTES, predict, *about)
        decoded, pack = time.perf_counter(), exchange.pack
        outputs = explained(manifest)
        check_shorter(manifest, pack.lengths)
        way = self._way(outputs, pack)
        self.held.take(way.bytes)
        found = await self._run(way, exchange)
        returned = time.perf_counter()
        usage = _usage(pack, way, found)
        rows = (*found.outputs.values(), *found.without.values())
        large = sum(one.nbytes for one in rows) > LARGE_BYTES
        reply = await call(self.service, large, self._reply, outputs, pack, found, usage)
        self._count(pack, found, usage, (begun, decoded, returned, time.perf_counter()))
        return Response(reply.body, headers=dict(reply.headers))

    def _way(self, outputs: tuple[Output, ...], pack: Pack) -> Pooled | Reruns:
        """By sums where tokens can be taken away from them, else by runs of all the others."""
        engine, settings = self.service.engine, self.service.settings
        pooled = Pooled.of(engine, settings, self.served, outputs, pack)
        if pooled is not None:
            return pooled
        check_runs(pack.lengths, settings.explain_tokens)
        reruns = Reruns(engine, self.served.id, outputs, pack)
        reruns.check_bytes(settings.max_inflated_bytes)
        return reruns

    async def _run(self, way: Pooled | Reruns, exchange: Exchange) -> Found:
        """Within the request's own time limit and while its client is there."""
        asked, whose = allowed(exchange, self.request.headers), client(self.request)
        timeout = self.service.settings.timeout_seconds if asked is None else asked
        with while_there(self.request):
            return await way.run(
                whose, timeout, exchange.priority, partial(self._charge, way.run_tokens)
            )

    def _charge(self, tokens: int) -> None:
        """What is let in counts towards its key's rate, and what is not costs nothing."""
        if key := self.request.scope.get(KEY):
            key.take(tokens, time.perf_counter())

    def _reply(
        self, outputs: tuple[Output, ...], pack: Pack, found: Found, usage: Mapping[str, Any]
    ) -> Reply:
        """In what the client prefers, compressed where that is accepted."""
        accepted, manifest = self.request.headers, self.served.manifest
        changes = Changes.of(found, outputs, pack.lengths)
        media = preferred(accepted.get("accept", ""), WRITERS) or JSON
        if media == ARROW:
            body = as_arrow(outputs, pack.lengths, found, changes)
        else:
            body = as_json(manifest, outputs, pack.lengths, found, changes, usage)
        return compressed(Reply(body, {"Content-Type": media}), accepted)

    def _count(
        self,
        pack: Pack,
        found: Found,
        usage: Mapping[str, Any],
        times: tuple[float, float, float, float],
    ) -> None:
        """As a prediction is, and its parts. times: begun, decoded, run and encoded."""
        begun, decoded, returned, ended = times
        for name, span in zip(("decode", "run", "encode"), pairwise(times), strict=True):
            tracing.part(self.request.scope, name, *span)
        self.service.drift.look(self.served, pack)
        took = found.queue_ms / 1e3, decoded - begun, found.compute_ms / 1e3, ended - returned
        model = self.served.id
        count(self.service, self.request, model, usage, Timing(*took), ended - begun)


def _usage(pack: Pack, way: Pooled | Reruns, found: Found) -> dict[str, float]:
    """As a prediction's; run_tokens: of as many tokens predictions would take as long."""
    return {
        "tokens": pack.tokens,
        "sequences": len(pack.lengths),
        "run_tokens": way.run_tokens,
        "queue_ms": round(found.queue_ms, 3),
        "compute_ms": round(found.compute_ms, 3),
    }
