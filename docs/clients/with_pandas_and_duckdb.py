"""A long table in pandas, a row per pixel, made into sets by DuckDB; the answer joined back."""

import io
import sys

import duckdb
import httpx
import pandas as pd
import pyarrow as pa

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
ARROW = dict.fromkeys(("Content-Type", "Accept"), "application/vnd.apache.arrow.stream")

pixels = pd.DataFrame({"image": [7, 9, 7, 9, 7], "x": [3, 2, 3, 5, 3], "y": [0, 0, 1, 6, 2]})
grouped = "SELECT image, list([x, y, 15]::FLOAT[3]) AS pixels FROM pixels GROUP BY image ORDER BY 1"
sets = duckdb.sql(grouped).to_arrow_table()

body = io.BytesIO()
with pa.ipc.new_stream(body, sets.select(["pixels"]).schema) as stream:
    stream.write_table(sets.select(["pixels"]))

answer = httpx.post(f"{URL}/v1/models/digits/predict", content=body.getvalue(), headers=ARROW)
answer.raise_for_status()
found = pa.ipc.open_stream(answer.content).read_all()
print(pd.DataFrame({"image": sets["image"], "digit": found["digit.label"]}))
