"""The process: load bundles, listen, and on SIGTERM drain without losing an accepted request."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import time
from types import FrameType

import uvicorn

from service import heap, listening
from service.api import create_app
from service.application import Service
from service.board import Board, share
from service.catalog import Catalog
from service.child import Place, Ready
from service.engine.engine import Engine
from service.engine.observer import Observer
from service.engine.scheduler import Scheduler
from service.errors import StartupError
from service.graph import Options
from service.keys import Keys, load_keys
from service.protocol import Protocol
from service.readiness import LAST_STEP_SECONDS, Readiness
from service.repository.control import others
from service.repository.folder import Folder
from service.repository.loading import Loader
from service.repository.repository import Repository
from service.rpc.start import check
from service.runtime import Threads
from service.settings import Settings
from service.siblings import Siblings
from service.supervisor import supervise
from service.tracing import tracing

CANNOT_START = 3  # uvicorn's exit code when it cannot listen
GC_THRESHOLDS = (10_000, 20, 50)  # requests leave many objects and hardly a cycle

log = logging.getLogger("sumserve.server")


def serve(settings: Settings) -> None:
    """Serve until told to stop. Raises StartupError when a bundle or a setting is at fault."""
    heap.settle()
    check(settings)
    if settings.workers > 1:
        drain_seconds = settings.grace_seconds + settings.drain_seconds + LAST_STEP_SECONDS
        supervise(settings, work, drain_seconds)
        return
    signal.signal(signal.SIGTERM, _leave)
    keys = load_keys(settings.keys) if settings.keys else None
    _serve(settings.of_worker(0), keys, Siblings(), None, lambda: None, Observer())


def work(place: Place, ready: Ready) -> None:
    """Serve as one of several workers."""
    heap.settle()
    settings = place.settings.of_worker(place.index)
    about = place.index, settings.workers
    own = Threads.start(share(settings))
    board = Board(place.folder / "board", *about, own)
    if not settings.threads:
        Threads.shared().spare = board.spare
    keys = None if place.keys is None else Keys(place.keys, settings.workers)
    _serve(settings, keys, Siblings(place.folder, *about), [*place.sockets], ready, board)


def _serve(
    settings: Settings,
    keys: Keys | None,
    siblings: Siblings,
    sockets: list[socket.socket] | None,
    ready: Ready,
    board: Observer,
) -> None:
    spans = tracing(settings, os.environ)
    service = load(settings, siblings)
    service.engine.observers.append(board)
    config = uvicorn.Config(
        create_app(service, siblings, keys, spans),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=Protocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who asks is who connects: anybody can write X-Forwarded-For
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=round(settings.drain_seconds) + LAST_STEP_SECONDS,
    )
    server = Server(config, service, siblings, ready)
    gc.collect()
    gc.freeze()  # what is there now stays, and need not be looked at again and again
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        server.run(sockets)
        if spans:
            spans.close()
        if service.readiness.stuck:
            os._exit(1)  # a thread would be waited for that does not end
    except SystemExit as error:
        if error.code == CANNOT_START:
            why = service.readiness.unable or f"cannot listen on {settings.host}:{settings.port}"
            raise StartupError(why) from error
        raise


def _leave(sig: int, frame: FrameType | None) -> None:
    """Until uvicorn handles signals: the first process of a container ignores them by default."""
    raise SystemExit(0)


def load(settings: Settings, siblings: Siblings | None = None) -> Service:
    """Set up the engine, and open every bundle, check it against its golden data and warm it up.

    Where a sibling serves already nothing is opened: this worker is there in the place of one that
    has died, and what it serves are the others to say.
    """
    Threads.start(settings.threads)
    readiness, scheduler = Readiness(), Scheduler(settings.step_tokens, settings.long_tokens)
    engine, catalog = Engine(scheduler, settings.policy(), readiness), Catalog(readiness.failing)
    folder = Folder(settings.models, settings.versions)
    options = Options(
        settings.device, settings.variant, settings.slice_tokens, settings.gpu_memory_bytes
    )
    loader = Loader(options, settings.step_tokens)
    repository = Repository(folder, catalog, engine, loader)
    if siblings is None or asyncio.run(others(siblings)) is None:
        repository.open()
    return Service(settings, catalog, engine, readiness, repository)


class Server(uvicorn.Server):
    """uvicorn, with a grace between "not ready" and "not listening" on SIGTERM.

    In the grace every response closes its connection, so that by its end clients are elsewhere.
    What is not done when the drain is over is answered with 503 and not cut off.
    """

    def __init__(
        self, config: uvicorn.Config, service: Service, siblings: Siblings, ready: Ready
    ) -> None:
        """ready: is called as soon as it listens."""
        super().__init__(config)
        self._ready, self._supervised = ready, siblings.any
        self._readiness, self._engine = service.readiness, service.engine
        self._grace = service.settings.grace_seconds
        self._drain = service.settings.drain_seconds
        self._leave_at = float("inf")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """First SIGTERM: drain. SIGINT or a second signal: stop listening now.

        One of several workers may hear of the same signal twice, from a terminal or a service
        manager and from its supervisor; so the supervisor counts them and it does not.
        """
        draining, self._readiness.draining = self._readiness.draining, True
        if sig == signal.SIGINT or (draining and not self._supervised):
            self.force_exit = self.should_exit and not self._supervised
            self.should_exit = True
        elif not draining:
            self._leave_at = time.monotonic() + self._grace

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        listening.release(sockets or ())
        try:
            await super().startup(sockets)
        except OSError as error:  # of sockets that were given; else uvicorn sees to it
            raise SystemExit(CANNOT_START) from error
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening and finish what is in flight, within the drain."""
        listening.leave(sockets or ())
        self._readiness.leaving.set()
        async with asyncio.TaskGroup() as tasks:
            closing = tasks.create_task(self._close_engine())
            await super().shutdown(sockets)
            closing.cancel()

    async def _close_engine(self) -> None:
        if not self._readiness.stuck:
            await asyncio.sleep(self._drain)
        await self._engine.close()

    async def on_tick(self, counter: int) -> bool:
        """uvicorn's heartbeat, ten times a second."""
        if self._supervised and self._readiness.stuck:
            self.handle_exit(signal.SIGINT, None)  # who asks for liveness may ask another worker
        if time.monotonic() >= self._leave_at:
            self.should_exit = True
        return await super().on_tick(counter)
