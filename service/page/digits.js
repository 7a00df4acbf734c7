// The section with the drawing board: asks the model as points come and go, and shows its answer.

import { percent } from "./answer.js";
import { Bars } from "./bars.js";
import { Board } from "./board.js";
import { element, find, table } from "./dom.js";
import { Ink } from "./ink.js";
import { draw, SAMPLES } from "./samples.js";
import { many } from "./signature.js";
import { Weights } from "./weights.js";

const QUIET = 700; // milliseconds without a change, then it is said aloud

// Whether a model reads [column, row, ink] and classifies.
export const reads = (model) =>
  model.name === "digits" && model.columns[0].width === 3 && Boolean(model.outputs[0].labels);

export class Digits {
  constructor() {
    this.ink = new Ink();
    this.board = new Board(
      find("board"),
      this.ink,
      () => this.#changed(),
      (text) => (find("cell").textContent = text),
    );
    this.weights = null;
    this.asking = this.again = false; // whether it is, and whether it has to once more
    find("clear").addEventListener("click", () => this.#redrawn(() => this.ink.clear()));
    find("fit").addEventListener("click", () => this.#redrawn(() => this.ink.fit()));
    find("eraser").addEventListener("click", (event) => this.#erase(event.currentTarget));
    find("samples").replaceChildren(...SAMPLES.map((_, digit) => this.#sample(digit)));
  }

  // The model, or null where none is served that can read drawings.
  use(model) {
    find("draw").hidden = !model;
    this.weights = model && new Weights(model);
    this.model = model;
    if (!model) return;
    this.bars = new Bars("Probability of each digit", model.outputs[0].labels);
    find("bars").replaceChildren(this.bars.table);
    this.board.paint();
    this.#changed();
  }

  #sample(digit) {
    const onclick = () => this.#redrawn(() => draw(this.ink, digit));
    return element(
      "button",
      { type: "button", "aria-label": `Draw a ${digit}`, onclick },
      `${digit}`,
    );
  }

  #redrawn(change) {
    change();
    this.board.weigh(new Map());
    this.#changed();
  }

  #erase(button) {
    this.board.rubber = !this.board.rubber;
    button.setAttribute("aria-pressed", String(this.board.rubber));
  }

  // One request at a time; what changes meanwhile is asked for after it.
  async #changed() {
    this.again = true;
    if (this.asking || !this.weights) return;
    this.#busy(true);
    while (this.again) {
      this.again = false;
      await this.#ask(this.ink.points());
    }
    this.#busy(false);
  }

  #busy(asking) {
    this.asking = asking;
    find("reading").setAttribute("aria-busy", String(asking));
  }

  async #ask(points) {
    if (!points.length) {
      this.#nothing();
      return;
    }
    try {
      this.#show(points, await this.weights.of(points));
    } catch (error) {
      this.#say(error.message);
      this.board.weigh(new Map());
    }
  }

  #nothing() {
    this.bars.clear();
    this.board.weigh(new Map());
    find("points").replaceChildren();
    find("cost").textContent = "";
    this.#say("Draw something.");
  }

  #show(points, { label, probabilities, changes, milliseconds, usage, how }) {
    const best = this.model.outputs[0].labels.indexOf(label);
    const weights = changes ? changes.map((own) => own[best]) : points.map(() => 0);
    const largest = Math.max(...weights.map(Math.abs)) || 1;
    this.bars.show(probabilities, best);
    this.board.weigh(
      new Map(points.map(([column, row], i) => [`${column},${row}`, weights[i] / largest])),
    );
    this.#list(points, changes ? weights : null);
    find("winner").textContent = label;
    const weighed = changes ? `Weights by /${how}` : "No weights: no point may be left out";
    find("cost").textContent =
      `${many(points.length, "point")}; ${work(usage)}, ` +
      `computed in ${usage.compute_ms.toFixed(1)} ms, ` +
      `answered in ${milliseconds.toFixed(0)} ms. ${weighed}.`;
    this.#say(`It is a ${label}: ${percent(probabilities[best])}`);
  }

  // Aloud only once it stays so: drawing changes it many times a second.
  #say(text) {
    find("verdict").textContent = text;
    clearTimeout(this.saying);
    this.saying = setTimeout(() => (find("said").textContent = text), QUIET);
  }

  #list(points, weights) {
    const order = points.map((_, i) => i);
    if (weights) order.sort((a, b) => Math.abs(weights[b]) - Math.abs(weights[a]));
    const rows = order.map((i) => [
      `${points[i][0] + 1}, ${points[i][1] + 1}`,
      `${points[i][2]}`,
      weights ? weights[i].toFixed(4) : "–",
    ]);
    find("points").replaceChildren(
      table("By weight, the largest first", ["Column, row", "Ink", "Weight"], rows),
    );
  }
}

// Of a request: predicted in one set or several, or as an explanation counts.
function work({ tokens, sequences, run_tokens: run }) {
  if (run) return `as much work as ${many(run, "token")} of predictions`;
  return many(tokens, "token") + (sequences > 1 ? ` in ${sequences} sets` : "");
}
