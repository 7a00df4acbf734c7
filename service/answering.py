"""A large answer on its way: counted among what is held until its client has taken it, and not
waited for without end. Knows nothing of what is in it.
"""

from __future__ import annotations

from contextlib import ExitStack

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.access import note, note_error
from service.body import Held
from service.errors import ClientGone
from service.streams.outgoing import Outgoing

WAITED_BYTES = 100_000  # of an answer: it is worth waiting for its reader


def owned(response: Response, held: Held, stack: ExitStack, seconds: float) -> Response:
    """As it is; or a large one that takes over what ``stack`` would give back: what is held.

    seconds: in which the client must read on.
    """
    if len(response.body) <= WAITED_BYTES:
        return response
    stack.pop_all()
    return Unhurried(response, held, seconds)


class Unhurried(Response):
    """A response in pieces, each sent when the one before is taken. It owns ``held``."""

    def __init__(self, response: Response, held: Held, seconds: float) -> None:
        """seconds: in which the client must read on."""
        super().__init__(response.body, response.status_code, dict(response.headers))
        self._held, self._seconds = held, seconds
        held.hold(len(self.body))  # and no more what was asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Who reads nothing loses the connection."""
        out = Outgoing(scope, receive, send, self._seconds)
        with self._held:
            try:
                await out.start(self.status_code, self.headers)
                await out.write(bytes(self.body))
                await out.end()
            except ClientGone as error:
                note(scope, status=error.status)
                note_error(scope, error)
                await out.cut()
