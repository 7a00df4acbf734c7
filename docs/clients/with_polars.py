"""Ask the `digit_sum` model with polars: a list column of ids in, a column of sums out."""

import io
import sys

import httpx
import polars as pl

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
ARROW = dict.fromkeys(("Content-Type", "Accept"), "application/vnd.apache.arrow.stream")

frame = pl.DataFrame({"digits": [[1, 2, 3], [], [9, 8, 7, 6, 5, 4, 3]]})

body = io.BytesIO()
frame.write_ipc_stream(body)

answer = httpx.post(f"{URL}/v1/models/digit_sum/predict", content=body.getvalue(), headers=ARROW)
answer.raise_for_status()
print(frame.hstack(pl.read_ipc_stream(answer.content)))
