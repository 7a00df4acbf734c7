"""Makes a folder something that can serve: opened, held against its golden data, warmed up."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from service.bundle import Bundle, Golden, open_named
from service.engine.cost import Costs
from service.engine.prover import Proof
from service.graph import Options
from service.pack import Pack
from service.session import Session
from service.verification import check_golden
from service.warming import warm

log = logging.getLogger("sumserve.repository")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A session that answers its golden inputs as it should, and what its steps cost."""

    bundle: Bundle
    session: Session
    golden: Golden
    costs: Costs

    @property
    def usual(self) -> Pack:
        """The golden inputs that are like those of training."""
        return self.golden.pack.take(np.flatnonzero(self.golden.usual))

    @property
    def proof(self) -> Proof:
        """Whether it still does."""
        return partial(check_golden, self.bundle, self.session, self.golden)


@dataclass(frozen=True, slots=True)
class Loader:
    """How this server does it. step_tokens: of the largest step."""

    options: Options
    step_tokens: int

    def now(self, folder: Path) -> Loaded:
        """The bundle in ``name/version``. BundleError says what is wrong with it."""
        bundle = open_named(folder)
        session, golden = Session(bundle, self.options), bundle.golden()
        error = check_golden(bundle, session, golden)
        costs = Costs.of(bundle.manifest)
        warm(session, golden.pack, costs, self.step_tokens)
        session.places.clear()  # of requests there has been none
        what = bundle.manifest.name, bundle.manifest.version, self.options.device
        log.info("loaded %s/%s on %s, golden error %.1e", *what, error)
        return Loaded(bundle, session, golden, costs)

    async def meanwhile(self, folder: Path) -> Loaded:
        """The same in a thread, while the event loop goes on answering requests."""
        return await asyncio.to_thread(self.now, folder)
