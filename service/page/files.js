// Files as bodies of requests: which reader a file is for, by its name and its first bytes.

import * as csv from "./csv.js";
import * as npy from "./npy.js";

const JSON_TYPE = "application/json";
const ARROW_TYPE = "application/vnd.apache.arrow.stream";
const ARROW_FILE = "ARROW1"; // what the other form of Arrow begins with
const MOST = 64 * 2 ** 20; // bytes that are read into numbers here

const READERS = [
  [/\.(csv|tsv|txt)$/i, async (file, model) => json(csv.sequences(await file.text(), model))],
  [/\.npy$/i, async (file, model) => json(npy.sequences(await file.arrayBuffer(), model))],
  [/\.json$/i, (file) => ({ body: file, type: JSON_TYPE })],
  [/\.(arrow|arrows|ipc)$/i, arrow],
];

// {body, type} of a request. Raises Unreadable naming what is wrong and where.
export async function bodyOf(file, model) {
  const reader = READERS.find(([name]) => name.test(file.name));
  if (!reader) throw new csv.Unreadable(`${file.name}: neither .csv, .npy, .json nor .arrows`);
  if (file.size > MOST) throw new csv.Unreadable(`${file.name}: larger than 64 MiB`);
  return reader[1](file, model);
}

const json = (sequences) => ({ body: JSON.stringify({ sequences }), type: JSON_TYPE });

async function arrow(file) {
  if ((await file.slice(0, ARROW_FILE.length).text()) === ARROW_FILE) {
    throw new csv.Unreadable(
      `${file.name}: an Arrow file, a stream is needed (pyarrow: ipc.new_stream)`,
    );
  }
  return { body: file, type: ARROW_TYPE };
}
