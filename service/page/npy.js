// NumPy's NPY files, versions 1 to 3, as sequences for a model. Knows no DOM, no server.
// Source: numpy's format description, numpy.lib.format.

import { sendable, Unreadable } from "./csv.js";
import { columnsOf } from "./signature.js";

const MAGIC = "\x93NUMPY";

// DataView's reader of each type, and its bytes.
const READERS = {
  f4: ["getFloat32", 4],
  f8: ["getFloat64", 8],
  i1: ["getInt8", 1],
  i2: ["getInt16", 2],
  i4: ["getInt32", 4],
  i8: ["getBigInt64", 8],
  u1: ["getUint8", 1],
  u2: ["getUint16", 2],
  u4: ["getUint32", 4],
  u8: ["getBigUint64", 8],
  b1: ["getUint8", 1],
};

// {shape, values}: the numbers in row-major order, BigInts where they have 64 bits. buffer: an
// ArrayBuffer.
export function parse(buffer) {
  const view = new DataView(buffer);
  const { text, start } = header(view);
  const type = /'descr':\s*'([<>|=])([a-z]\d+)'/.exec(text);
  const order = /'fortran_order':\s*(True|False)/.exec(text);
  const dims = /'shape':\s*\(([\d,\s]*)\)/.exec(text);
  if (!type || !order || !dims || !READERS[type[2]]) {
    const found = /'descr':\s*([^,}]*)/.exec(text)?.[1] ?? "unknown";
    throw new Unreadable(`its type is ${found}; numbers of 1 to 8 bytes are read, f2 is not`);
  }
  const shape = dims[1]
    .split(",")
    .map((part) => part.trim())
    .filter(Boolean)
    .map(Number);
  const size = shape.reduce((product, length) => product * length, 1);
  const [method, bytes] = READERS[type[2]];
  if (view.byteLength - start !== size * bytes) {
    throw new Unreadable(
      `${view.byteLength - start} bytes of numbers, shape (${shape}) takes ${size * bytes}`,
    );
  }
  const little = type[1] !== ">";
  const values = Array.from({ length: size }, (_, i) => view[method](start + i * bytes, little));
  return { shape, values: order[1] === "True" ? rowMajor(values, shape) : values };
}

function header(view) {
  const magic = Array.from({ length: Math.min(6, view.byteLength) }, (_, i) => view.getUint8(i));
  if (String.fromCharCode(...magic) !== MAGIC || view.byteLength < 12) {
    throw new Unreadable("it does not begin as an NPY file does");
  }
  const wide = view.getUint8(6) > 1; // versions 2 and 3 have longer headers
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true);
  const from = wide ? 12 : 10;
  if (from + length > view.byteLength) throw new Unreadable("its header is cut off");
  const text = new TextDecoder().decode(new Uint8Array(view.buffer, from, length));
  return { text, start: from + length };
}

// Column-major numbers in row-major order.
function rowMajor(values, shape) {
  const strides = shape.map((_, axis) => shape.slice(0, axis).reduce((a, b) => a * b, 1));
  return values.map((_, flat) => {
    let rest = flat;
    let from = 0;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += (rest % shape[axis]) * strides[axis];
      rest = Math.floor(rest / shape[axis]);
    }
    return values[from];
  });
}

// The field "sequences" of a request: [n, width] is one, [batch, n, width] are several, and
// without the width for columns of single numbers.
export function sequences(buffer, model) {
  if (columnsOf(model).length > 1) {
    throw new Unreadable(`an array is one column, and ${model.name} has several: send CSV or JSON`);
  }
  const { shape, values } = parse(buffer);
  const [column] = model.columns;
  const vector = column.kind === "vector";
  const axes = shape.length - (vector ? 1 : 0);
  if (axes !== 1 && axes !== 2) {
    const wanted = vector ? "(n, width) or (batch, n, width)" : "(n,) or (batch, n)";
    throw new Unreadable(`its shape is (${shape.join(", ")}), ${wanted} is needed`);
  }
  // NaN becomes null, a missing value, as numpy has no other way to say that one is.
  const numbers = values.map((value, i) =>
    sendable(column, Number(value), value, () => `[${indices(i, shape).join("][")}]`),
  );
  const rows = nested(numbers, shape);
  return axes === 1 ? [rows] : rows;
}

// Of the number at a place in row-major order.
function indices(flat, shape) {
  let rest = flat;
  return shape.map((_, axis) => {
    const each = shape.slice(axis + 1).reduce((product, length) => product * length, 1);
    const index = Math.floor(rest / each);
    rest %= each;
    return index;
  });
}

function nested(values, shape) {
  if (shape.length === 1) return values;
  const each = shape.slice(1).reduce((product, length) => product * length, 1);
  return Array.from({ length: shape[0] }, (_, i) =>
    nested(values.slice(i * each, (i + 1) * each), shape.slice(1)),
  );
}
