// CSV as RFC 4180 has it, and columns of it as sequences for a model. Knows no DOM, no server.
//
// A line of names, then a line per token. Of a vector column x of three numbers the names are
// x[0], x[1], x[2], or x.0 or x_0; for a model of one column any names do. Where there is a column
// "sequence", lines that have the same there are a sequence; else an empty line begins a new one.

import { columnsOf } from "./signature.js";

export class Unreadable extends Error {}

// Lists of cells; null for an empty line.
export function parse(text) {
  const rows = [];
  const body = text.replace(/^\ufeff/, "");
  const comma = delimiter(body);
  let at = 0;
  while (at < body.length) {
    const [row, next] = record(body, at, comma, rows.length + 1);
    rows.push(row.length === 1 && row[0] === "" ? null : row);
    at = next;
  }
  return rows;
}

// Of the first line: what it has most of.
function delimiter(text) {
  const line = text.slice(0, text.search(/\r?\n|$/));
  const counts = [",", ";", "\t"].map((mark) => [line.split(mark).length, mark]);
  return counts.sort((a, b) => b[0] - a[0])[0][1];
}

// One record, and where the next begins.
function record(text, start, comma, number) {
  const row = [];
  let at = start;
  for (;;) {
    const [cell, end] = text[at] === '"' ? quoted(text, at, number) : plain(text, at, comma);
    row.push(cell);
    if (text[end] !== comma) return [row, after(text, end, number)];
    at = end + 1;
  }
}

function plain(text, at, comma) {
  let end = at;
  while (end < text.length && text[end] !== comma && text[end] !== "\n" && text[end] !== "\r")
    end++;
  return [text.slice(at, end).trim(), end];
}

function quoted(text, at, number) {
  let cell = "";
  for (let from = at + 1; ;) {
    const mark = text.indexOf('"', from);
    if (mark < 0) throw new Unreadable(`record ${number}: a quote is not closed`);
    cell += text.slice(from, mark);
    if (text[mark + 1] !== '"') return [cell, mark + 1];
    cell += '"';
    from = mark + 2;
  }
}

function after(text, end, number) {
  if (end >= text.length) return end;
  if (text[end] === "\r") return text[end + 1] === "\n" ? end + 2 : end + 1;
  if (text[end] === "\n") return end + 1;
  throw new Unreadable(`record ${number}: text goes on after a closing quote`);
}

// The field "sequences" of a request. Raises Unreadable naming line and column.
export function sequences(text, model) {
  const [names, ...rows] = parse(text);
  if (!names) throw new Unreadable("the first line has to name the columns");
  const layout = layoutOf(names, model);
  return groups(rows, names, layout.group).map((lines) => layout.sequence(lines));
}

function layoutOf(names, model) {
  const group = names.indexOf("sequence");
  const single = columnsOf(model).length === 1;
  const places = new Map(
    columnsOf(model).map((own) => [own, placesOf(own, names, single ? group : null)]),
  );
  const cells = (column, line) => {
    const found = places.get(column).map((place) => cell(column, line, place, names[place]));
    return column.kind === "vector" ? found : found[0];
  };
  const tokens = (column, lines) => lines.map((line) => cells(column, line));
  const sequence = (lines) => {
    if (single) return tokens(model.columns[0], lines);
    const own = model.columns.map((column) => [column.name, tokens(column, lines)]);
    const context = model.context.map((column) => [column.name, cells(column, lines[0])]);
    return Object.fromEntries([...own, ...context]);
  };
  return { group, sequence };
}

// Which columns of the file a model's column is made of. group: for models of one column, the
// file's column that is no part of it.
function placesOf(column, names, group) {
  const width = column.kind === "vector" ? column.width : 1;
  for (const form of ["x[0]", "x.0", "x_0", "x"]) {
    if (form === "x" && width > 1) continue;
    const wanted = Array.from({ length: width }, (_, k) =>
      form.replace("0", k).replace("x", () => column.name),
    );
    const found = wanted.map((name) => names.indexOf(name));
    if (found.every((place) => place >= 0)) return found;
  }
  const others = names.map((_, place) => place).filter((place) => place !== group);
  if (group !== null && others.length === width) return others;
  const what = width > 1 ? `${column.name}[0] to ${column.name}[${width - 1}]` : column.name;
  throw new Unreadable(`there is no column ${what}; there are ${names.join(", ")}`);
}

function groups(rows, names, group) {
  const found = new Map();
  let blank = 0;
  rows.forEach((row, i) => {
    if (!row) {
      blank += 1;
      return;
    }
    const line = { row, number: i + 2 };
    if (row.length !== names.length) {
      throw new Unreadable(
        `line ${line.number}: ${row.length} cells, there are ${names.length} columns`,
      );
    }
    const name = group < 0 ? blank : row[group];
    if (!found.has(name)) found.set(name, []);
    found.get(name).push(line);
  });
  if (!found.size) throw new Unreadable("there is no line below the names");
  return [...found.values()];
}

function cell(column, { row, number }, place, name) {
  const text = row[place];
  if (text === "") return null; // missing: the server says whether that may be
  if (column.labels && column.labels.includes(text)) return text;
  const found = Number(text);
  if (column.labels && !Number.isSafeInteger(found)) return text; // a word, whatever it looks like
  const shown = `'${text.slice(0, 40)}'`;
  const at = () => `line ${number}, column ${name}`;
  if (Number.isNaN(found)) throw new Unreadable(`${at()}: ${shown} is no number`);
  return sendable(column, found, shown, at);
}

// A number for a column, if JSON and the numbers of browsers can carry it: infinities would become
// null, which is a missing value, and ids beyond 2^53 other ids. shown: the number as it is in the
// file; at: says where, if it cannot be sent.
export function sendable(column, number, shown, at) {
  if (Math.abs(number) === Infinity) throw new Unreadable(`${at()}: ${shown} is not finite`);
  if (column.kind === "ids" && Math.abs(number) > Number.MAX_SAFE_INTEGER) {
    throw new Unreadable(
      `${at()}: ${shown} is beyond 2^53, where ids are not read exactly: send an Arrow stream`,
    );
  }
  return number;
}
