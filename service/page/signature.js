// What a model reads and answers: in words, as an example, as a path. Knows no DOM, no server.

export const columnsOf = (model) => [...model.columns, ...model.context];

export const titleOf = (model) => `${model.name}/${model.version}`;

// Relative to the page. what: predict, explain.
export function pathOf(model, what) {
  return `v1/models/${encodeURIComponent(model.name)}/versions/${model.version}/${what}`;
}

export function describeColumn(column) {
  const extra = column.missing ? ", or missing" : column.unknown ? ", others are unknown" : "";
  if (column.kind === "vector") return `vectors of ${column.width}`;
  if (column.kind === "time") return "times";
  if (column.kind === "numeric") return `numbers${extra}`;
  return column.labels
    ? `${few(column.labels)}${extra}`
    : `ids ${column.low} to ${column.high}${extra}`;
}

export function describeOutput(output) {
  const per = `per ${output.per}`;
  if (output.labels) return `${output.labels.length} classes ${per}: ${few(output.labels)}`;
  return output.width === 1 ? `a number ${per}` : `${output.width} numbers ${per}`;
}

export function describeLengths(model) {
  const { min_length: least, max_length: most, trained_lengths: trained } = model;
  const allowed = most === null ? `${many(least, "token")} and more` : range(least, most, "token");
  return trained ? `${allowed}, trained on ${range(...trained)}` : allowed;
}

// A number of things: 1 layer, 2 layers.
export const many = (number, what) => `${count(number)} ${what}${number === 1 ? "" : "s"}`;

function range(least, most, what) {
  const last = what ? many(most, what) : count(most);
  return least === most ? last : `${count(least)} to ${last}`;
}

export function describeCost({ us_per_token: token, ms_per_step: step }) {
  if (!token && !step) return "not learned yet";
  return `${count(token, 3)} µs per token + ${count(step, 3)} ms per step`;
}

// Thousands apart, and to so many digits below them.
export function count(number, digits = 4) {
  if (number === 0) return "0";
  const large = Math.abs(number) >= 1000;
  const form = large ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: digits };
  return number.toLocaleString("en", form);
}

// Two sequences that the model takes, in the form of the field "sequences".
export function example(model) {
  return lengthsOf(model).map((length) => sequence(model, length));
}

// The same by column: values of all tokens end to end, context by sequence; and the lengths.
export function exampleTensors(model) {
  const lengths = lengthsOf(model);
  const flat = (column) => lengths.flatMap((length) => tokens(column, length));
  const columns = model.columns.map((column) => [column, flat(column)]);
  const context = model.context.map((column) => [column, lengths.map((_, i) => value(column, i))]);
  return { lengths, columns: [...columns, ...context] };
}

function lengthsOf({ min_length: least, max_length: most }) {
  return [3, 2].map((length) => Math.max(least, Math.min(length, most ?? length)));
}

function sequence(model, length) {
  const every = columnsOf(model);
  if (every.length === 1) return tokens(every[0], length);
  const columns = model.columns.map((column) => [column.name, tokens(column, length)]);
  const context = model.context.map((column) => [column.name, value(column, length)]);
  return Object.fromEntries([...columns, ...context]);
}

const tokens = (column, length) => Array.from({ length }, (_, i) => value(column, i));

function value(column, i) {
  if (column.kind === "vector")
    return Array.from({ length: column.width }, (_, k) => fraction(i, k));
  if (column.kind === "time") return 1.5 * i;
  if (column.kind === "numeric") return fraction(i, 1);
  if (column.labels) return column.labels[i % column.labels.length];
  return column.low + (i % (column.high - column.low + 1));
}

const fraction = (i, k) => Number(((0.35 + 0.3 * i + 0.2 * k) % 1).toFixed(2));

function few(words) {
  const shown = words.slice(0, 10).join(", ");
  return words.length > 10 ? `${shown} … (${words.length})` : shown;
}
