"""BentoML: raw bodies as the root of an API, batched by its own dispatcher."""
# mypy: ignore-errors

from typing import Annotated

import bentoml
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from benchmarks.handlers.model import Item, Model, decode, encode
from benchmarks.handlers.setting import Place

PLACE = Place.here()
SETTING = PLACE.setting
TEXT = WithJsonSchema({"type": "string"})  # so that its own parser leaves the body alone


def read(found):
    """A body, or what has been read already."""
    return [decode(found)] if isinstance(found, bytes) else found


def write(items: list[Item]) -> bytes:
    """An answer: one item of the batch."""
    return encode(items[0])


BATCHES = {"batchable": True, "max_batch_size": SETTING.batch, "max_latency_ms": 600_000}
if SETTING.batch == 1:
    BATCHES = {}

Body = Annotated[list, BeforeValidator(read), PlainSerializer(write), TEXT]


@bentoml.service(workers=SETTING.workers, traffic={"timeout": 600})
class Answer:
    """One worker process."""

    def __init__(self) -> None:
        self.model = Model(PLACE)

    @bentoml.api(route="/predict", **BATCHES)
    def predict(self, items: Body, /) -> Body:
        """A batch, or one without batching."""
        return self.model.answer(items)
