// An answer to a prediction as tables: of sequences, and of tokens where outputs are per token.

import { scroll, table } from "./dom.js";

const MOST_ROWS = 200;
const MOST_NUMBERS = 8;

// Tables for the body of a response of /predict.
export function tables(model, answer) {
  const per = (kind) => model.outputs.filter((output) => output.per === kind);
  const found = [];
  if (per("sequence").length) found.push(ofSequences(model, answer, per("sequence")));
  if (per("token").length) found.push(ofTokens(model, answer, per("token")));
  return found;
}

function ofSequences(model, answer, outputs) {
  const rows = answer.outputs
    .slice(0, MOST_ROWS)
    .map((_, i) => [
      `${i}`,
      ...outputs.flatMap((output) =>
        cells(output, (field) => pick(model, answer, field, output, i)),
      ),
    ]);
  return framed("Answers per sequence", ["sequence"], outputs, rows, answer.outputs.length);
}

function ofTokens(model, answer, outputs) {
  const lengths = answer.outputs.map(
    (_, i) => pick(model, answer, "outputs", outputs[0], i).length,
  );
  const rows = [];
  lengths.forEach((length, i) => {
    for (let j = 0; j < length && rows.length < MOST_ROWS; j++) {
      const found = (field) => (output) => pick(model, answer, field, output, i)?.[j];
      rows.push([
        `${i}, ${j}`,
        ...outputs.flatMap((output) => cells(output, (field) => found(field)(output))),
      ]);
    }
  });
  const all = lengths.reduce((sum, length) => sum + length, 0);
  return framed("Answers per token", ["sequence, token"], outputs, rows, all);
}

// A field of the answer, of one output and sequence. Models of several outputs answer by name.
function pick(model, answer, field, output, i) {
  const own = answer[field]?.[i];
  return model.outputs.length > 1 ? own?.[output.name] : own;
}

// With labels, the best and its probability; else the numbers.
function cells(output, of) {
  if (output.labels) return [of("labels"), percent(Math.max(...of("probabilities")))];
  const shown = of("outputs").slice(0, MOST_NUMBERS).map(short);
  return output.width > MOST_NUMBERS ? [...shown, "…"] : shown;
}

function headings(output) {
  if (output.labels) return [output.name, "probability"];
  const shown = Math.min(output.width, MOST_NUMBERS);
  if (shown === 1) return [output.name];
  const names = Array.from({ length: shown }, (_, k) => `${output.name}[${k}]`);
  return output.width > MOST_NUMBERS ? [...names, ""] : names;
}

function framed(caption, first, outputs, rows, all) {
  const left = all > rows.length ? `, the first ${rows.length} of ${all.toLocaleString("en")}` : "";
  return scroll(caption, table(caption + left, [...first, ...outputs.flatMap(headings)], rows));
}

export const percent = (probability) => `${(100 * probability).toFixed(1)} %`;

export const short = (number) => (number === null ? "–" : `${Number(number.toPrecision(6))}`);
