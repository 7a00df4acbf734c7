"""Signals as something to wait for, and not to be interrupted by."""

from __future__ import annotations

import signal
import socket
from typing import Self


class Caught:
    """SIGINT and SIGTERM, as long as it is open: they are told here, and do nothing else."""

    KINDS = (signal.SIGINT, signal.SIGTERM)

    def __enter__(self) -> Self:
        self._told, self._teller = socket.socketpair()
        self._told.setblocking(False)
        self._teller.setblocking(False)
        self._handlers = {kind: signal.signal(kind, lambda *_: None) for kind in self.KINDS}
        self._wakeup = signal.set_wakeup_fd(self._teller.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for caught, handler in self._handlers.items():
            signal.signal(caught, handler)
        self._told.close()
        self._teller.close()

    def fileno(self) -> int:
        """To wait for."""
        return self._told.fileno()

    def come(self) -> list[int]:
        """Those that have come since it was last asked, in their order."""
        try:
            return list(self._told.recv(4096))
        except BlockingIOError:
            return []
