"""Ray Serve: a proxy process hands requests to replicas."""
# mypy: ignore-errors

from __future__ import annotations

import signal

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from benchmarks.handlers.model import Model, decode, encode
from benchmarks.handlers.setting import Place

RAW = "application/octet-stream"
PLACE = Place.here()
SETTING = PLACE.setting


@serve.deployment(
    num_replicas=SETTING.workers, max_ongoing_requests=1000, ray_actor_options={"num_cpus": 0}
)
class Answer:
    """One replica."""

    def __init__(self) -> None:
        self.model = Model(PLACE)

    @serve.batch(max_batch_size=SETTING.batch, batch_wait_timeout_s=SETTING.wait_ms / 1e3)
    async def together(self, bodies: list[bytes]) -> list[bytes]:
        """A batch."""
        return list(map(encode, self.model.answer(list(map(decode, bodies)))))

    async def __call__(self, request: Request) -> Response:
        """A body, by itself or in a batch."""
        body = await request.body()
        if SETTING.batch > 1:
            return Response(await self.together(body), media_type=RAW)
        return Response(encode(self.model.answer([decode(body)])[0]), media_type=RAW)


def main() -> None:
    """Serve until told to stop."""
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "warning"}
    ray.init(num_cpus=2, _node_ip_address="127.0.0.1", **quiet)
    serve.start(http_options={"host": "127.0.0.1", "port": PLACE.port})
    serve.run(Answer.bind(), route_prefix="/predict")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
