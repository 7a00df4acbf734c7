"""FastAPI around onnxruntime, written by hand, with the usual forty lines that form batches."""
# mypy: ignore-errors

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, Request, Response

from benchmarks.handlers.model import Item, Model, decode, encode
from benchmarks.handlers.setting import Place

RAW = "application/octet-stream"


class Batcher:
    """Whatever has come while the last batch ran, up to the largest, is the next."""

    def __init__(self, place: Place) -> None:
        self._model, self._most = Model(place), place.setting.batch
        self._queue: asyncio.Queue[tuple[Item, asyncio.Future[Item]]] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1)

    async def answer(self, item: Item) -> Item:
        """Waits for its batch."""
        done = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((item, done))
        return await done

    async def run(self) -> None:
        """Batch after batch."""
        loop = asyncio.get_running_loop()
        while True:
            batch = [await self._queue.get()]
            while len(batch) < self._most and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            items = [item for item, _ in batch]
            found = await loop.run_in_executor(self._thread, self._model.answer, items)
            for (_, done), item in zip(batch, found, strict=True):
                done.set_result(item)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The model is opened when the process starts."""
    app.state.batcher = Batcher(Place.here())
    app.state.task = asyncio.create_task(app.state.batcher.run())
    yield
    app.state.task.cancel()


app = FastAPI(lifespan=lifespan)


@app.get("/health")
async def health() -> dict[str, bool]:
    """Up."""
    return {"live": True}


@app.post("/predict")
async def predict(request: Request) -> Response:
    """Raw bodies; annotations as strings are found among this module's names."""
    item = await request.app.state.batcher.answer(decode(await request.body()))
    return Response(encode(item), media_type=RAW)


def main() -> None:
    """Serve until told to stop."""
    place = Place.here()
    parts = {"loop": "uvloop", "http": "httptools", "access_log": False, "log_level": "warning"}
    uvicorn.run(
        "benchmarks.handlers.fastapi_app:app",
        port=place.port,
        workers=place.setting.workers,
        **parts,
    )


if __name__ == "__main__":
    main()
