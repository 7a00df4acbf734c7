"""Messages as they arrive. gRPC tells neither a message's size before all of it is there nor how
much of it is, so what can be arriving is bounded by how many calls read, and for how long.
Knows no method and no message.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from starlette.types import Scope

from service.body import BodyLimits
from service.errors import BadRequest, ClientGone, QueueFull, ServiceError, SlowBody, TooLarge
from service.few import Few
from service.protocol import GONE

AT_ONCE = 64  # calls that read and have only begun to
MOMENT = 0.5  # seconds in which a message arrives that is small, or was sent before it was read
FIRST_SECONDS = 0.1  # in which a message has begun: by its first bytes gRPC refuses a large one


class Reading:
    """Reads the calls' messages, each in its turn.

    A turn is a moment at most. Whatever is small is there by then, so turns are short and calls
    wait for theirs. What is not there may become as large as the limit, and goes on only in one of
    the few places that `in_flight_bytes` have for such.
    """

    def __init__(self, limits: BodyLimits, moment: float = MOMENT, at_once: int = AT_ONCE) -> None:
        self._limits, self._moment = limits, moment
        self._turns = Few(at_once, limits.seconds, "messages")
        self._places = max(1, limits.in_flight_bytes // limits.bytes)

    async def read(self, context: Any, scope: Scope) -> bytes:
        """A call's message. context: a grpc.aio.ServicerContext; scope: the call as a request.

        Raises QueueFull, SlowBody, TooLarge, BadRequest and ClientGone. Reads that are not waited
        for any more end by themselves once the call is answered: gRPC loses what it reads for one
        that is cancelled.
        """
        async with self._turns.turn(scope):
            begun = time.perf_counter()
            found = asyncio.ensure_future(context.read())
            found.add_done_callback(_ended)
            moment = min(self._moment, self._limits.seconds)
            await asyncio.wait({found}, timeout=moment)
        if not found.done():
            await self._go_on(found, self._limits.seconds - moment)
        message = found.result()
        if isinstance(message, bytes):
            return message
        raise await self._why_not(context, scope, time.perf_counter() - begun)

    async def _go_on(self, found: asyncio.Future[Any], seconds: float) -> None:
        """Wait for what takes longer, if there is a place."""
        if not self._places:
            what = "too many messages are arriving that may be large"
            most = f"the limit is {self._limits.in_flight_bytes} bytes"
            raise QueueFull(f"{what}; {most}", reason="memory")
        self._places -= 1
        try:
            await asyncio.wait({found}, timeout=seconds)
        finally:
            self._places += 1
        if not found.done():
            allowed = f"allowed are {self._limits.seconds:g} seconds"
            raise SlowBody(f"the message did not arrive in time; {allowed}")

    async def _why_not(self, context: Any, scope: Scope, seconds: float) -> ServiceError:
        """Why there is no message; seconds: that its read took.

        gRPC does not say. A call whose client just sent none can be answered. Of those that are
        over it has itself refused the too large, at once; the others' clients have left.
        """
        if not scope["state"].get(GONE) and await _can_be_answered(context):
            return BadRequest("the message is missing; a call has one")
        if seconds < FIRST_SECONDS and context.time_remaining() != 0:
            return TooLarge(f"the message is larger than the limit of {self._limits.bytes} bytes")
        return ClientGone("the client left before its message had arrived")


async def _can_be_answered(context: Any) -> bool:
    try:
        await context.send_initial_metadata(())
    except Exception:  # which one depends on gRPC's version
        return False
    return True


def _ended(read: asyncio.Future[Any]) -> None:
    """Whatever came of it: nobody may be there any more who wants to know."""
    if not read.cancelled():
        read.exception()
