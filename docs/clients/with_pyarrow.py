"""Ask the `digits` model with pyarrow: one row per set of pixels, a list column for the pixels."""

import io
import sys

import httpx
import pyarrow as pa

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
ARROW = dict.fromkeys(("Content-Type", "Accept"), "application/vnd.apache.arrow.stream")

sets = [[[3, 0, 12], [3, 1, 16], [3, 2, 16], [3, 5, 14]], [[2, 0, 9], [5, 6, 15]]]
table = pa.table({"pixels": pa.array(sets, pa.list_(pa.list_(pa.float32(), 3)))})

body = io.BytesIO()
with pa.ipc.new_stream(body, table.schema) as stream:
    stream.write_table(table)

answer = httpx.post(f"{URL}/v1/models/digits/predict", content=body.getvalue(), headers=ARROW)
answer.raise_for_status()
print(pa.ipc.open_stream(answer.content).read_all().select(["digit.label"]).to_pylist())
