"""An explanation from its request to its response. Its wires are those of predictions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from starlette.responses import Response

from service import tracing
from service.access import note, note_model
from service.application import Service
from service.asking import asked_timeout, client
from service.body import Held
from service.catalog import Served
from service.encoding import WINDOWS, deflate
from service.errors import ClientGone, ServiceError
from service.explain.answer import as_arrow, as_json
from service.explain.found import Changes, Found
from service.explain.pooled import Pooled
from service.explain.reruns import Reruns
from service.explain.subject import check_runs, check_shorter, explained
from service.gate import KEY
from service.manifest import Output
from service.negotiation import preferred
from service.pack import Pack
from service.prediction import LARGE_BYTES
from service.protocol import leaving
from service.statistics import Timing
from service.wires.exchange import ARROW, JSON, WRITERS, predict

T = TypeVar("T")


async def explain(
    service: Service, request: Request, name: str, version: str | None = None
) -> Response:
    """Receive, decode, run, encode; counted as a prediction is."""
    started = time.perf_counter()
    with service.bodies.holding() as held:
        body = await service.bodies.receive(request, held)
        tracing.part(request.scope, "receive", started, time.perf_counter())
        with service.catalog.find(name, version) as served:
            note_model(request.scope, served.manifest)
            try:
                return await Asked(service, request, served, held).answered(body)
            except ServiceError:
                service.statistics.failed(served.id, time.perf_counter() - started)
                raise


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
        pack = (await self._call(len(body) > LARGE_BYTES, predict, *about)).pack
        decoded = time.perf_counter()
        outputs = explained(manifest)
        check_shorter(manifest, pack.lengths)
        way = self._way(outputs, pack)
        if key := self.request.scope.get(KEY):
            key.take(way.run_tokens, decoded)
        self.held.take(way.bytes)
        found = await self._run(way)
        returned = time.perf_counter()
        usage = _usage(pack, way, found)
        rows = (*found.outputs.values(), *found.without.values())
        large = sum(one.nbytes for one in rows) > LARGE_BYTES
        reply = await self._call(large, self._reply, outputs, pack, found, usage)
        ended = time.perf_counter()
        scope = self.request.scope
        tracing.part(scope, "decode", begun, decoded)
        tracing.part(scope, "run", decoded, returned)
        tracing.part(scope, "encode", returned, ended)
        self.service.drift.look(self.served, pack)
        self._count(found, usage, decoded - begun, ended - returned)
        return reply

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

    async def _run(self, way: Pooled | Reruns) -> Found:
        """Within the request's own time limit and while its client is there."""
        asked = asked_timeout(self.request.headers)
        timeout = self.service.settings.timeout_seconds if asked is None else asked
        try:
            with leaving(self.request.scope) as left:
                return await way.run(client(self.request), timeout)
        except asyncio.CancelledError as error:
            if not left.set:
                raise
            raise ClientGone("the client left before its answer was there") from error

    def _reply(
        self, outputs: tuple[Output, ...], pack: Pack, found: Found, usage: Mapping[str, Any]
    ) -> Response:
        """In what the client prefers, compressed where that is accepted."""
        accepted, manifest = self.request.headers, self.served.manifest
        changes = Changes.of(found, outputs, pack.lengths)
        media = preferred(accepted.get("accept", ""), WRITERS) or JSON
        if media == ARROW:
            body = as_arrow(outputs, pack.lengths, found, changes)
        else:
            body = as_json(manifest, outputs, pack.lengths, found, changes, usage)
        headers = {"Content-Type": media, "Vary": "Accept, Accept-Encoding"}
        encoding = preferred(accepted.get("accept-encoding", ""), WINDOWS)
        if encoding is not None:
            body = deflate(body, encoding)
            headers["Content-Encoding"] = encoding
        return Response(body, headers=headers)

    def _count(self, found: Found, usage: Mapping[str, Any], decode: float, encode: float) -> None:
        """The same figures for statistics, metrics and the log line."""
        timing = Timing(found.queue_ms / 1e3, decode, found.compute_ms / 1e3, encode)
        self.service.statistics.succeeded(self.served.id, usage["sequences"], timing)
        self.service.metrics.answered(self.served.id, timing)
        spent = {"decode_ms": round(decode * 1e3, 3), "encode_ms": round(encode * 1e3, 3)}
        note(self.request.scope, **usage, **spent)

    async def _call(self, large: bool, function: Callable[..., T], *args: Any) -> T:
        """Small work at once; large work in a thread, so that the loop goes on answering others."""
        if not large:
            return function(*args)
        return await asyncio.get_running_loop().run_in_executor(
            self.service.coders, function, *args
        )


def _usage(pack: Pack, way: Pooled | Reruns, found: Found) -> dict[str, float]:
    """As a prediction's; run_tokens: of as many tokens predictions would take as long."""
    return {
        "tokens": pack.tokens,
        "sequences": len(pack.lengths),
        "run_tokens": way.run_tokens,
        "queue_ms": round(found.queue_ms, 3),
        "compute_ms": round(found.compute_ms, 3),
    }
