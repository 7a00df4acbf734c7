"""Ask the `polynomial` model with Triton's client: two sequences end to end, and their lengths."""

import sys

import numpy as np
import tritonclient.http as triton

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"

x = np.random.default_rng(0).random((10, 4), np.float32)
lengths = np.array([4, 6])
tokens = triton.InferInput("x", [10, 4], "FP32")
tokens.set_data_from_numpy(x)
counts = triton.InferInput("lengths", [2], "INT64")
counts.set_data_from_numpy(lengths)

with triton.InferenceServerClient(URL.removeprefix("http://")) as client:
    y = client.infer("polynomial", [tokens, counts]).as_numpy("y")

for rows in np.split(y, lengths.cumsum()[:-1]):
    print(rows.shape, rows[0])
