"""mosec: bodies are read and written, and batches answered, in worker processes."""
# mypy: ignore-errors

from __future__ import annotations

import sys

from mosec import Server, Worker

from benchmarks.handlers.model import Item, Model, decode, encode
from benchmarks.handlers.setting import Place


class Answer(Worker):
    """One process."""

    resp_mime_type = "application/octet-stream"

    def __init__(self) -> None:
        super().__init__()
        self.model = Model(Place.here())

    def deserialize(self, data: bytes) -> Item:
        """A body."""
        return decode(data)

    def serialize(self, data: Item) -> bytes:
        """An answer."""
        return encode(data)

    def forward(self, data: Item | list[Item]) -> Item | list[Item]:
        """A batch; without batching mosec hands over one item."""
        return self.model.answer(data) if self.max_batch_size > 1 else self.model.answer([data])[0]


def main() -> None:
    """Serve until told to stop."""
    place = Place.here()
    own = place.setting
    flags = ["--port", str(place.port), "--address", "127.0.0.1", "--timeout", "60000"]
    sys.argv[1:] = [*flags, "--log-level", "warning", "--max-request-size", str(2**27)]
    server = Server()
    batches = {"max_batch_size": own.batch, "max_wait_time": int(own.wait_ms)}
    server.append_worker(Answer, num=own.workers, route="/predict", **batches)
    server.run()


if __name__ == "__main__":
    main()
