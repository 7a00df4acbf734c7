// A small chart of the last values of one or two series, as SVG. It knows nothing of what they are.

import { drawing, element } from "./dom.js";
import { count } from "./signature.js";

export const KEPT = 120; // values: two minutes at one a second
const WIDTH = KEPT - 1;
const HEIGHT = 40;

export class Chart {
  // unit: of a single series; series: names, the first one's line is full, the second one's dashed.
  constructor({ title, unit = "", series = [""] }) {
    Object.assign(this, { title, unit, series });
    this.values = series.map(() => []);
    this.lines = series.map((_, i) =>
      drawing("path", { class: i ? "line second" : "line", "vector-effect": "non-scaling-stroke" }),
    );
    this.area = drawing("path", { class: "area" });
    this.shown = element("p", { class: series.length > 1 ? "value two" : "value" }, "–");
    this.top = element("span", { class: "top-of-scale" });
    this.picture = this.#picture();
    this.figure = this.#figure();
  }

  #picture() {
    const half = {
      x1: 0,
      x2: WIDTH,
      y1: HEIGHT / 2,
      y2: HEIGHT / 2,
      class: "scale",
      "vector-effect": "non-scaling-stroke",
    };
    const view = {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": this.title,
    };
    const area = this.series.length === 1 ? this.area : null;
    return drawing("svg", view, drawing("line", half), area, this.lines);
  }

  #figure() {
    const caption = element("figcaption", {}, element("h3", {}, this.title), this.top, this.shown);
    return element("figure", { class: "chart" }, caption, this.picture);
  }

  // The next value of each series; null where there is none.
  add(...values) {
    this.values.forEach((own, i) => {
      own.push(values[i]);
      if (own.length > KEPT) own.shift();
    });
    this.#draw();
  }

  get points() {
    return this.values[0].length;
  }

  #draw() {
    const scale = niceAbove(Math.max(0, ...this.values.flat().filter((value) => value !== null)));
    this.lines.forEach((line, i) => line.setAttribute("d", path(this.values[i], scale)));
    this.area.setAttribute("d", areaBelow(this.values[0], scale));
    this.top.textContent = `to ${count(scale)}`;
    this.shown.replaceChildren(...this.#latest());
    this.picture.setAttribute("aria-label", `${this.title}: ${this.shown.textContent}`);
  }

  #latest() {
    const latest = this.values.map((own) => own.at(-1));
    if (latest.every((value) => value === null)) return ["–"];
    const text = latest.map((value) => (value === null ? "–" : count(value, 3)));
    if (this.series.length === 1) return [text[0], element("small", {}, this.unit)];
    return this.series.map((name, i) =>
      element(
        "span",
        {},
        element("span", { class: i ? "key-line second" : "key-line" }),
        text[i],
        element("small", {}, `${name} `),
      ),
    );
  }
}

// 1, 2 or 5 times a power of ten, at or above the value.
export function niceAbove(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * (1 - 1e-9));
}

const placed = (values, scale) =>
  values.map((value, i) => [
    WIDTH - (values.length - 1 - i),
    value === null ? null : HEIGHT - (value / scale) * (HEIGHT - 2),
  ]);

// A line with gaps where there is no value; a single value is a short dash.
function path(values, scale) {
  let pen = "M";
  return placed(values, scale)
    .map(([x, y]) => {
      if (y === null) {
        pen = "M";
        return "";
      }
      const step =
        pen === "M" ? `M${x - 0.5} ${y.toFixed(2)}L${x} ${y.toFixed(2)}` : `L${x} ${y.toFixed(2)}`;
      pen = "L";
      return step;
    })
    .join("");
}

function areaBelow(values, scale) {
  const found = placed(values, scale).map(([x, y]) => [x, y ?? HEIGHT]);
  if (found.length < 2) return "";
  const upper = found.map(([x, y]) => `L${x} ${y.toFixed(2)}`).join("");
  return `M${found[0][0]} ${HEIGHT}${upper}L${WIDTH} ${HEIGHT}Z`;
}
