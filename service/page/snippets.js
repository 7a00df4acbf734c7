// The same question as commands to paste: curl, httpx, tritonclient. Knows no DOM, no server.

import { exampleTensors, example } from "./signature.js";

const NUMPY = { float32: "np.float32", float64: "np.float64", int64: "np.int64" };

// base: the server's URL, without a slash at its end; keyed: whether it wants a key.
export function snippets(model, base, keyed) {
  return [
    { name: "curl", text: curl(model, base, keyed) },
    { name: "httpx", text: httpx(model, base, keyed) },
    { name: "tritonclient", text: triton(model, base, keyed) },
  ];
}

const version = (model) => (model.default ? "" : `/versions/${model.version}`);

const url = (model, base) => `${base}/v1/models/${model.name}${version(model)}/predict`;

function curl(model, base, keyed) {
  const lines = [`curl -s ${url(model, base)}`, "-H 'Content-Type: application/json'"];
  if (keyed) lines.push('-H "Authorization: Bearer $SUMSERVE_KEY"');
  const body = json({ sequences: example(model) }).replaceAll("'", "'\\''");
  return [...lines, `-d '${body}'`].join(" \\\n     ");
}

function httpx(model, base, keyed) {
  return [
    ...(keyed ? ["import os", ""] : []),
    "import httpx",
    "",
    `sequences = ${json(example(model))}`,
    ...(keyed ? [HEADERS] : []),
    "answer = httpx.post(",
    `    "${url(model, base)}",`,
    `    json={"sequences": sequences},`,
    ...(keyed ? ["    headers=headers,"] : []),
    ")",
    "answer.raise_for_status()",
    'print(answer.json()["outputs"])',
  ].join("\n");
}

const HEADERS = `headers = {"Authorization": f"Bearer {os.environ['SUMSERVE_KEY']}"}`;

function triton(model, base, keyed) {
  const { lengths, columns } = exampleTensors(model);
  const [scheme, host] = base.split("://");
  const secure = scheme === "https" ? ", ssl=True" : "";
  const header = keyed ? ", headers=headers" : "";
  const named = model.default ? "" : `, model_version="${model.version}"`;
  return [
    ...(keyed ? ["import os", ""] : []),
    "import numpy as np",
    "import tritonclient.http as triton",
    "from tritonclient.utils import np_to_triton_dtype",
    "",
    "# Sequences end to end, and how many tokens each has.",
    "arrays = {",
    ...columns.map(([column, values]) => `    "${column.name}": ${array(column, values)},`),
    `    "lengths": np.array(${json(lengths)}, np.int64),`,
    "}",
    "tensors = []",
    "for name, array in arrays.items():",
    "    tensor = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))",
    "    tensor.set_data_from_numpy(array)",
    "    tensors.append(tensor)",
    ...(keyed ? [HEADERS] : []),
    "",
    `with triton.InferenceServerClient("${host}"${secure}) as client:`,
    `    answer = client.infer("${model.name}", tensors${named}${header})`,
    ...model.outputs.map((output) => `    print(answer.as_numpy("${output.name}"))`),
  ].join("\n");
}

// Words are objects to numpy, and BYTES to the protocol.
function array(column, values) {
  return `np.array(${json(values)}, ${column.labels ? "np.object_" : NUMPY[column.dtype]})`;
}

// JSON with a space after each comma and colon; it is Python as well, as nothing is null or true.
export function json(value) {
  if (Array.isArray(value)) return `[${value.map(json).join(", ")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const fields = Object.entries(value).map(
    ([name, own]) => `${JSON.stringify(name)}: ${json(own)}`,
  );
  return `{${fields.join(", ")}}`;
}
