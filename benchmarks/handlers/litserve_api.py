"""LitServe: an HTTP process hands bodies to worker processes."""
# mypy: ignore-errors

from __future__ import annotations

from typing import Annotated

import litserve
from fastapi import Body, Response

from benchmarks.handlers.model import Item, Model, decode, encode
from benchmarks.handlers.setting import Place

RAW = "application/octet-stream"


class Answer(litserve.LitAPI):
    """Bodies are taken as bytes, so that its own parser of JSON is not in the way."""

    def setup(self, device: str) -> None:
        """Once per worker."""
        self.model = Model(Place.here())

    def decode_request(self, request):
        """A body; annotated below, because here annotations are strings."""
        return decode(request)

    def batch(self, inputs: list[Item]) -> list[Item]:
        """As they are: the model pads."""
        return inputs

    def predict(self, x: Item | list[Item]) -> Item | list[Item]:
        """A batch, or one without batching."""
        return self.model.answer(x) if isinstance(x, list) else self.model.answer([x])[0]

    def unbatch(self, output: list[Item]) -> list[Item]:
        """As they are."""
        return output

    def encode_response(self, output: Item) -> Response:
        """An answer."""
        return Response(encode(output), media_type=RAW)


Answer.decode_request.__annotations__["request"] = Annotated[bytes, Body(media_type=RAW)]


def main() -> None:
    """Serve until told to stop."""
    place = Place.here()
    own = place.setting
    api = Answer(max_batch_size=own.batch, batch_timeout=own.wait_ms / 1e3 if own.batch > 1 else 0)
    workers = {"accelerator": "cpu", "workers_per_device": own.workers}
    server = litserve.LitServer(api, **workers, timeout=600, fast_queue=own.tuned)
    server.run(
        host="127.0.0.1",
        port=place.port,
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )


if __name__ == "__main__":
    main()
